// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import ServiceLifecycle

/// Keeps the connection to libvirt and hands its events to the reconciler.
struct HypervisorService: Service {
    let source: LibvirtDomainSource
    let reconciler: Reconciler

    func run() async {
        source.start()
        for await event in source.events.cancelOnGracefulShutdown() { await reconciler.handle(event) }
        source.stop()
    }
}
