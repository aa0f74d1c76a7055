// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Logging
import TapModel
import ServiceLifecycle

/// Tells the reconciler when the host's links or addresses change, or its routes and neighbours.
struct DeviceService: Service {
    let reconciler: Reconciler
    let subject: LinkMonitor.Subject
    let logger: Logger

    func run() async throws {
        let monitor: LinkMonitor
        do {
            monitor = try LinkMonitor(subject)
        } catch {
            // The slow resync still finds every change, only later.
            logger.error("changes of \(subject) are not seen at once: \(error.message)", metadata: ["reason": "\(error.reason.rawValue)"])
            try? await gracefulShutdown()
            return
        }
        await withGracefulShutdownHandler {
            for await _ in monitor.changes {
                switch subject {
                case .links: await reconciler.devicesChanged()
                case .paths: await reconciler.pathsChanged()
                }
                // On a host with many devices a look at all of them is not cheap, and changes come in bursts. Those that come
                // meanwhile are one.
                try? await Task.sleep(for: .milliseconds(100))
            }
        } onGracefulShutdown: {
            monitor.stop()
        }
    }
}
