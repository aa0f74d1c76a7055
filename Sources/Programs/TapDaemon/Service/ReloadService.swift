// SPDX-License-Identifier: LGPL-2.1-or-later

import ServiceLifecycle
import TapControl
import UnixSignals

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
