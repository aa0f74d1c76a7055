// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

/// One of a domain's two definitions: the one that runs, or the one that the next start uses.
enum MetadataSide: String, CaseIterable {
    case live
    case config

    /// As a sentence has it.
    var words: String {
        switch self {
        case .live: "the running domain"
        case .config: "the persistent definition"
        }
    }
}

/// Which sides a command was told to change.
enum SideChoice: String {
    case live, config, current

    /// The sides to change.
    ///
    /// With no choice: both where both are, so that the tap is there now and at the next start.
    static func sides(_ choices: Set<SideChoice>, isRunning: Bool, isPersistent: Bool) throws(CommandFailure) -> [MetadataSide] {
        guard choices.count < 2 || !choices.contains(.current) else {
            throw CommandFailure(.usage, "--current is instead of --live and --config, not beside them")
        }
        if choices.contains(.live), !isRunning { throw CommandFailure(.failure, "the domain is not running: --live has nothing to change") }
        if choices.contains(.config), !isPersistent {
            throw CommandFailure(.failure, "the domain is transient: --config has nothing to change")
        }
        if choices.contains(.current) { return [isRunning ? .live : .config] }
        let wanted =
            choices.isEmpty
            ? [(MetadataSide.live, isRunning), (.config, isPersistent)]
            : [
                (.live, choices.contains(.live)), (.config, choices.contains(.config)),
            ]
        return wanted.filter(\.1).map(\.0)
    }
}
