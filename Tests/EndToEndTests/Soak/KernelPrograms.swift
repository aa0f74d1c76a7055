// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Foundation

/// How many TCX programs hang on a device, asked of the kernel itself: without pins, and without virt-tap's code.
struct KernelPrograms: Hashable, Sendable {
    var ingress = 0
    var egress = 0

    /// Those of every device of a host that has any, by the device's name.
    static func all(on host: LabHost) async throws -> [String: KernelPrograms] {
        let namespace = open(try host.namespace("net"), O_RDONLY | O_CLOEXEC)
        guard namespace >= 0 else { throw POSIXError(.ENOENT) }
        defer { close(namespace) }
        let counts: [String: KernelPrograms]? = await withCheckedContinuation { continuation in
            // A thread of its own, which is in the host's namespace until it ends.
            Thread.detachNewThread {
                continuation.resume(returning: enter(namespace) ? here() : nil)
            }
        }
        guard let counts else { throw POSIXError(.EPERM) }
        return counts
    }

    /// Takes the calling thread into a network namespace; setns(2), which Swift's C library does not show.
    private static func enter(_ namespace: Int32) -> Bool {
        guard let address = dlsym(nil, "setns") else { return false }
        let setns = unsafeBitCast(address, to: (@convention(c) (Int32, Int32) -> Int32).self)
        return setns(namespace, 0x4000_0000) == 0  // CLONE_NEWNET
    }

    private static func here() -> [String: KernelPrograms] {
        guard let list = if_nameindex() else { return [:] }
        defer { if_freenameindex(list) }
        var found: [String: KernelPrograms] = [:]
        var entry = list
        while entry.pointee.if_index != 0, let name = entry.pointee.if_name {
            let index = Int32(entry.pointee.if_index)
            let programs = KernelPrograms(ingress: count(index, CLIBBPF_TCX_INGRESS), egress: count(index, CLIBBPF_TCX_EGRESS))
            if programs != KernelPrograms() { found[String(cString: name)] = programs }
            entry += 1
        }
        return found
    }

    private static func count(_ index: Int32, _ point: clibbpf_tcx) -> Int {
        var ids = [UInt32](repeating: 0, count: 64)
        var count = UInt32(ids.count)
        return bpf_prog_query(index, bpf_attach_type(point.rawValue), 0, nil, &ids, &count) == 0 ? Int(count) : 0
    }

    /// Takes a pinned link's program from its device; the pin stays.
    static func detach(_ pin: String) {
        let link = bpf_obj_get(pin)
        guard link >= 0 else { return }
        bpf_link_detach(link)
        close(link)
    }
}
