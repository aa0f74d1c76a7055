// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Hypervisor
import Logging
import ServiceLifecycle
import TapControl
import TapModel
import UnixSignals

/// Runs the work loop.
struct ReconcilerService: Service {
    let reconciler: Reconciler

    func run() async {
        await withGracefulShutdownHandler {
            await reconciler.run()
        } onGracefulShutdown: {
            Task { await reconciler.stop() }
        }
    }
}

/// Keeps the connection to libvirt and hands its events to the reconciler.
struct HypervisorService: Service {
    let source: LibvirtDomainSource
    let reconciler: Reconciler

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await cancelWhenGracefulShutdown { await source.run() } }
            for await event in source.events { await reconciler.handle(event) }
        }
    }
}

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
            logger.error("changes of \(subject) are noticed late: \(error.message)", metadata: ["reason": "\(error.reason.rawValue)"])
            try? await gracefulShutdown()
            return
        }
        await withGracefulShutdownHandler {
            for await _ in monitor.changes {
                switch subject {
                case .links: await reconciler.devicesChanged()
                case .paths: await reconciler.pathsChanged()
                }
                // On a host with many devices reading all of them is not cheap, and changes come in bursts. Those that come
                // meanwhile are one.
                try? await Task.sleep(for: .milliseconds(100))
            }
        } onGracefulShutdown: {
            monitor.stop()
        }
    }
}

/// Serves the control socket, and notifies systemd that it does.
struct ControlService: Service {
    let server: ControlServer
    let notifier: ServiceNotifier

    func run() async {
        notifier.ready()
        await withGracefulShutdownHandler {
            await server.run()
        } onGracefulShutdown: {
            server.stop()
        }
    }
}

/// Has the configuration read again at SIGHUP, and by itself what could not be used before.
struct ReloadService: Service {
    let loader: ConfigurationLoader
    let notifier: ServiceNotifier

    func run() async {
        await withGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
                        notifier.reloading()
                        // The log says what became of it.
                        _ = try? await loader.load(.asked)
                        notifier.ready()
                    }
                }
                group.addTask { await cancelWhenGracefulShutdown { await loader.keepTrying() } }
            }
        } onGracefulShutdown: {
            Task { await loader.stop() }
        }
    }
}
