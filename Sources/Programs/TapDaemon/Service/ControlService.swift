// SPDX-License-Identifier: LGPL-2.1-or-later

import ServiceLifecycle
import TapControl

/// Serves the control socket, and tells systemd that it does.
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
