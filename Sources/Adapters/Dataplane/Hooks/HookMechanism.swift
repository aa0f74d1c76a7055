// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import TapModel

/// A way to run a program on a device's hook: TCX or clsact.
protocol HookMechanism {
    /// Attaches a program at a hook point where no program of this attachment runs; in front of all others where that is possible.
    func attach(_ program: TapProgram, at hook: AttachmentHook, _ undo: Undo) throws

    /// Replaces the program that runs there, without a moment in which none runs.
    /// - Parameter former: the program to which `undo` goes back.
    func replace(_ program: TapProgram, at hook: AttachmentHook, former: KernelObject?, _ undo: Undo) throws

    /// Reads whether any program of ours runs there.
    /// - Parameter programs: the ids of all programs that may be this attachment's.
    func isAttached(_ hook: AttachmentHook, programs: Set<UInt32>) throws -> Bool

    /// Reads what runs at the hook point.
    /// - Parameters:
    ///   - program: the id of the program that should run there.
    ///   - isOurs: whether a program on this device is one of ours, by its id.
    func observe(_ hook: AttachmentHook, program: UInt32?, isOurs: (UInt32) throws -> Bool) throws -> ObservedAttachment.Hook

    /// Detaches; it is no error when nothing is attached.
    func remove(_ hook: AttachmentHook, programs: Set<UInt32>) throws
}

/// Where a program runs: TC ingress or egress of a device.
///
/// Nothing else translates directions. libvirt's inbound and outbound are seen from the guest. What a guest
/// sends through a tap device enters the host there, which is TC ingress. A macvtap device is a leg of its lower
/// device: what the guest sends is transmitted through it, which is TC egress (drivers/net/tap.c).
struct HookPoint: Hashable {
    let ifindex: UInt32
    let isEgress: Bool

    init(ifindex: UInt32, isEgress: Bool) {
        self.ifindex = ifindex
        self.isEgress = isEgress
    }

    init(_ direction: Direction, ifindex: UInt32, isMacvtap: Bool) {
        self.ifindex = ifindex
        isEgress = (direction == .inbound) != isMacvtap
    }

    var tcxType: bpf_attach_type {
        bpf_attach_type(rawValue: UInt32((isEgress ? CLIBBPF_TCX_EGRESS : CLIBBPF_TCX_INGRESS).rawValue))
    }
}

extension AttachmentSpec {
    var programs: Set<UInt32> { Set([inboundProgram, outboundProgram].compactMap(\.self)) }

    func hookPoint(_ direction: Direction) -> HookPoint {
        HookPoint(direction, ifindex: attachment.key.ifindex, isMacvtap: attachment.interface.isMacvtap)
    }
}

extension AttachmentID {
    /// Whether both are attachments of one tap, perhaps on different devices. Compares the domain, and the hash of origin and name.
    func isSameTap(as other: AttachmentID) -> Bool { domain == other.domain && text.suffix(16) == other.text.suffix(16) }
}

/// The hook of one attachment in one direction: the hook point, and with clsact the filter on it.
struct AttachmentHook: Hashable {
    let id: AttachmentID
    let direction: Direction
    let point: HookPoint
    /// Only for clsact.
    let filter: AttachmentSpec.ClsactFilter?

    init(_ spec: AttachmentSpec, _ direction: Direction) {
        id = spec.key.id
        self.direction = direction
        point = spec.hookPoint(direction)
        filter = spec.clsact
    }

    init(id: AttachmentID, _ direction: Direction, _ point: HookPoint, filter: AttachmentSpec.ClsactFilter?) {
        self.id = id
        self.direction = direction
        self.point = point
        self.filter = filter
    }
}
