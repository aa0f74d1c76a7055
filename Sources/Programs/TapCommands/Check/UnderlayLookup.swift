// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel

/// How packets get from here to the tunnels of a configuration, for commands, which look once.
enum UnderlayLookup {
    /// A next hop that nobody needed for a while is in no table, and is asked by looking: it may have answered the second time.
    private static let patience = Duration.milliseconds(500)

    /// Blocks its thread for half a second at most.
    static func paths(for configuration: HostConfiguration, _ dataplane: any TapDataplane) -> [UnderlayQuery: Result<UnderlayPath, Failure>]
    {
        let end = ContinuousClock.now + patience
        while true {
            let paths = dataplane.paths(for: configuration)
            let isWaiting = paths.values.contains { if case .success(let path) = $0 { path.nextHopMAC == nil } else { false } }
            guard isWaiting, ContinuousClock.now < end else { return paths }
            usleep(20_000)
        }
    }
}
