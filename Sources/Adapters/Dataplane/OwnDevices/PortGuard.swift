// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import TapModel

/// One of the four programs that keep a monitor port apart from the host: see bpf/port.bpf.c.
struct PortGuard {
    /// An end of the veth pair.
    enum End: String {
        /// Our end, to which copies are sent.
        case sending
        /// The sensors' end.
        case listening
    }

    private static let program = "virt_tap_port"
    private static let elf = ProgramObject.decode(PortObject.base64)
    private static let priority: UInt32 = 1
    private static let handle: UInt32 = 1
    /// How many marks the program compares with: PORT_MARKS of bpf/port.bpf.c.
    static let capacity = 4

    let end: End
    let isEgress: Bool

    /// Whether it lets copies pass.
    var passesCopies: Bool { end == .sending && isEgress }

    /// The programs of one end, in the order in which they are to be attached.
    static func of(_ end: End) -> [PortGuard] { [false, true].map { PortGuard(end: end, isEgress: $0) } }

    /// Loads the program, and attaches nothing.
    /// - Parameter marks: the marks of copies; empty: nothing passes.
    static func load(_ marks: [PacketMark], _ kernel: Kernel) throws -> KernelObject {
        let object = try ProgramObject(program, elf, kernel)
        var words = marks.prefix(capacity).flatMap { [$0.value, $0.mask] }
        words += [UInt32](repeating: 0, count: 2 * capacity - words.count)
        try object.set("port_marks", SIMD8<UInt32>(words))
        try object.set("port_is_sending", UInt32(marks.isEmpty ? 0 : 1))
        return try object.load()
    }

    /// Reads whether this program is the first that runs at the hook point.
    func isInPlace(_ program: UInt32, on ifindex: UInt32, _ mechanism: Mechanism, _ kernel: Kernel) throws -> Bool {
        let point = HookPoint(ifindex: ifindex, isEgress: isEgress)
        switch mechanism {
        case .tcx:
            return try TCXHook.readChain(point, kernel).first == program
        case .clsact:
            guard let first = try TrafficControl.readFilters(point, kernel).first(where: { $0.handle != 0 }) else { return false }
            return first.priority == Self.priority && first.program == program
        }
    }

    /// Attaches a program in front of all others, and replaces the one that was attached before.
    /// - Parameter path: where its link is pinned, if it has one.
    func attach(_ program: KernelObject, to ifindex: UInt32, _ mechanism: Mechanism, path: String, _ pins: PinTree) throws {
        let kernel = pins.kernel
        switch mechanism {
        case .tcx:
            let link = try TCXHook.linkFirst(program, HookPoint(ifindex: ifindex, isEgress: isEgress), kernel)
            // The former link ends with its pin, when the new program runs already.
            try pins.pin(link, at: path, kind: CLIBBPF_LINK, Undo())
            if try FilterQdisc.read(ifindex, kernel) != nil, try isAttachedByFilter(ifindex, kernel) {
                try kernel.check(.detachFilter) {
                    clibbpf_filter_detach(CInt(ifindex), isEgress ? 1 : 0, Self.priority, Self.handle)
                }
            }
        case .clsact:
            if try FilterQdisc.read(ifindex, kernel) == nil { try FilterQdisc.clsact.add(to: ifindex, kernel) }
            try kernel.check(.attachFilter) {
                clibbpf_filter_attach(CInt(ifindex), isEgress ? 1 : 0, Self.priority, Self.handle, program.descriptor, 1)
            }
            try kernel.unlink(path)
        }
    }

    /// Reads whether a program of ours is attached as a filter, from before TCX was chosen.
    private func isAttachedByFilter(_ ifindex: UInt32, _ kernel: Kernel) throws -> Bool {
        try TrafficControl.readFilters(HookPoint(ifindex: ifindex, isEgress: isEgress), kernel).contains {
            $0.priority == Self.priority && $0.handle == Self.handle && $0.name?.hasPrefix(Self.program) == true
        }
    }
}
