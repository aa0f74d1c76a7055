// SPDX-License-Identifier: LGPL-2.1-or-later

import ServiceLifecycle

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
