// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import TapModel

/// Where a program runs: one of the two TC hooks of a device.
///
/// The one place that translates directions. libvirt's inbound and outbound are seen from the guest. What a guest
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
        HookPoint(direction, ifindex: key.ifindex, isMacvtap: interface.isMacvtap)
    }
}

extension AttachmentID {
    /// Whether it is an attachment of the same tap, to another device maybe: the domain, and the hash of origin and name.
    func isSameTap(as other: AttachmentID) -> Bool { domain == other.domain && text.suffix(16) == other.text.suffix(16) }
}
