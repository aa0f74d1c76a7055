// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import ServiceLifecycle

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
