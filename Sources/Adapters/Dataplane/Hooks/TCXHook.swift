// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// Programs attached by TCX links, which are pinned. They need no qdisc, and the kernel detaches them when the device goes.
struct TCXHook: HookMechanism {
    /// More programs than a hook holds: BPF_MPROG_MAX of the kernel's include/linux/bpf_mprog.h, of which one stays free.
    private static let capacity = 64

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    func attach(_ program: TapProgram, at hook: AttachmentHook, _ undo: Undo) throws {
        // A link that a crash left half way through a replacement would copy everything a second time.
        try remove(pins.link(hook.id, hook.direction) + PinTree.draft)
        let link = try Self.linkFirst(program.object, hook.point, kernel)
        let kernel = kernel
        undo.add { try kernel.check(.detachLink) { bpf_link_detach(link.descriptor) } }
        try pins.pin(link, at: pins.link(hook.id, hook.direction), kind: CLIBBPF_LINK, undo)
    }

    /// Attaches a program in front of all others. It runs for as long as the link is open or pinned.
    static func linkFirst(_ program: KernelObject, _ point: HookPoint, _ kernel: Kernel) throws -> KernelObject {
        var options = bpf_link_create_opts()
        options.sz = MemoryLayout<bpf_link_create_opts>.size
        options.flags = UInt32(CLIBBPF_F_BEFORE.rawValue)
        return KernelObject(
            owning: try kernel.check(.createLink) {
                bpf_link_create(program.descriptor, CInt(point.ifindex), point.tcxType, &options)
            })
    }

    func replace(_ program: TapProgram, at hook: AttachmentHook, former: KernelObject?, _ undo: Undo) throws {
        guard let link = try link(hook) else { throw KernelError(call: .updateLink, number: ENOENT) }
        try replaceProgram(program.object, on: link)
        if let former { undo.add { try replaceProgram(former, on: link) } }
    }

    private func replaceProgram(_ program: KernelObject, on link: KernelObject) throws {
        try kernel.check(.updateLink) { bpf_link_update(link.descriptor, program.descriptor, nil) }
    }

    func isAttached(_ hook: AttachmentHook, programs: Set<UInt32>) throws -> Bool {
        guard let link = try link(hook) else { return false }
        return Self.isAt(hook.point, try info(link))
    }

    func observe(_ hook: AttachmentHook, program: UInt32?, isOurs: (UInt32) throws -> Bool) throws -> ObservedAttachment.Hook {
        let absent: ObservedAttachment.Hook = DeviceList.exists(hook.point.ifindex) ? .detached : .deviceGone
        guard let link = try link(hook) else { return absent }
        let info = try info(link)
        guard Self.isAt(hook.point, info), program == nil || info.program == program else { return absent }
        let chain: [UInt32]
        do {
            chain = try Self.readChain(hook.point, kernel)
        } catch let error as KernelError where error.number == ENODEV {
            // The device was moved to another network namespace, where this host's taps have no say.
            return .deviceGone
        }
        guard let position = chain.firstIndex(of: info.program) else { return absent }
        return .attached(position: position, foreignAhead: try chain[..<position].count { try !isOurs($0) })
    }

    func remove(_ hook: AttachmentHook, programs: Set<UInt32>) throws {
        try remove(hook.id, hook.direction)
    }

    func remove(_ id: AttachmentID, _ direction: Direction) throws {
        let path = pins.link(id, direction)
        try remove(path)
        try remove(path + PinTree.draft)
    }

    private func remove(_ path: String) throws {
        if let link = try kernel.open(path, CLIBBPF_LINK) {
            do {
                // Without detaching, the program would run until the kernel frees the link some time later.
                try kernel.check(.detachLink, path) { bpf_link_detach(link.descriptor) }
            } catch let error as KernelError where [ENOLINK, EOPNOTSUPP].contains(error.number) {}
        }
        try kernel.unlink(path)
    }

    /// Reads the ids of a hook's programs, in the order in which they run.
    static func readChain(_ point: HookPoint, _ kernel: Kernel) throws -> [UInt32] {
        var ids = [UInt32](repeating: 0, count: capacity)
        var count = UInt32(capacity)
        try kernel.check(.queryHook) { bpf_prog_query(CInt(point.ifindex), point.tcxType, 0, nil, &ids, &count) }
        return Array(ids.prefix(Int(count)))
    }

    private func link(_ hook: AttachmentHook) throws -> KernelObject? {
        try kernel.open(pins.link(hook.id, hook.direction), CLIBBPF_LINK)
    }

    private func info(_ link: KernelObject) throws -> clibbpf_link {
        var info = clibbpf_link()
        try kernel.check(.open) { clibbpf_link_info(link.descriptor, &info) }
        return info
    }

    private static func isAt(_ point: HookPoint, _ info: clibbpf_link) -> Bool {
        info.type == CLIBBPF_LINK_TYPE_TCX.rawValue && info.ifindex == point.ifindex && info.attach_type == point.tcxType.rawValue
    }
}
