// SPDX-License-Identifier: LGPL-2.1-or-later

import ServiceLifecycle
import TapControl
import TapHost
import UnixSignals

/// Reads the configuration again at SIGHUP.
struct ReloadService: Service {
    let reconciler: Reconciler
    let file: ConfigurationFile
    let notifier: ServiceNotifier

    func run() async {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        var existed = file.exists
        for await _ in signals.cancelOnGracefulShutdown() {
            notifier.reloading()
            // A file that vanished is no wish to end all copying.
            let mustExist = existed
            await reconciler.reload(Result { () throws(ConfigurationFileError) in try file.load(mustExist: mustExist) })
            existed = existed || file.exists
            notifier.ready()
        }
    }
}
