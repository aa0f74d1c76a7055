// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Foundation

/// How many TCX programs hang on a device, and which, asked of the kernel itself: without pins, and without virt-tap's code.
struct KernelPrograms: Hashable, Sendable {
    var ingress = 0
    var egress = 0

    /// Those of every device of a host that has any, by the device's name.
    static func all(on host: LabHost) async throws -> [String: KernelPrograms] {
        try await inside(host, here)
    }

    /// The kernel's numbers of the programs on one device, those for what comes in first.
    static func ids(on device: String, of host: LabHost) async throws -> [UInt32] {
        try await inside(host) {
            let index = Int32(if_nametoindex(device))
            return ids(index, CLIBBPF_TCX_INGRESS) + ids(index, CLIBBPF_TCX_EGRESS)
        }
    }

    private static func inside<Answer: Sendable>(_ host: LabHost, _ ask: @escaping @Sendable () -> Answer) async throws -> Answer {
        let namespace = open(try host.namespace("net"), O_RDONLY | O_CLOEXEC)
        guard namespace >= 0 else { throw POSIXError(.ENOENT) }
        defer { close(namespace) }
        let answer: Answer? = await withCheckedContinuation { continuation in
            // A thread of its own, which is in the host's namespace until it ends.
            Thread.detachNewThread {
                continuation.resume(returning: enter(namespace) ? ask() : nil)
            }
        }
        guard let answer else { throw POSIXError(.EPERM) }
        return answer
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
            let programs = KernelPrograms(ingress: ids(index, CLIBBPF_TCX_INGRESS).count, egress: ids(index, CLIBBPF_TCX_EGRESS).count)
            if programs != KernelPrograms() { found[String(cString: name)] = programs }
            entry += 1
        }
        return found
    }

    private static func ids(_ index: Int32, _ point: clibbpf_tcx) -> [UInt32] {
        var ids = [UInt32](repeating: 0, count: 64)
        var count = UInt32(ids.count)
        guard bpf_prog_query(index, bpf_attach_type(point.rawValue), 0, nil, &ids, &count) == 0 else { return [] }
        return Array(ids.prefix(Int(count)))
    }

    /// Takes a pinned link's program from its device; the pin stays.
    static func detach(_ pin: String) {
        let link = bpf_obj_get(pin)
        guard link >= 0 else { return }
        bpf_link_detach(link)
        close(link)
    }
}
