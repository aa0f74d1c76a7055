// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// The two qdiscs that hold filters for what comes into a device; clsact also for what leaves it. A device has at most
/// one of them.
///
/// libvirt puts an `ingress` qdisc of its own in the place of whatever `ingress` qdisc it finds when it limits what a
/// guest sends, and fails where it finds clsact. So clsact is only taken where it is needed.
enum FilterQdisc: String {
    case ingress
    case clsact

    /// The one that suffices for these hooks.
    init(for points: some Sequence<HookPoint>) {
        self = points.contains(where: \.isEgress) ? .clsact : .ingress
    }

    /// What is there; `nil` for none, and where there is no device.
    static func on(_ ifindex: UInt32, _ kernel: Kernel) throws -> FilterQdisc? {
        let found: String?
        do {
            found = try TrafficControl.ingressQdisc(ifindex, kernel)
        } catch let error as KernelError where error.number == ENODEV {
            return nil
        }
        guard let kind = found else { return nil }
        guard let known = FilterQdisc(rawValue: kind) else {
            throw KernelError(call: .createQdisc, number: EEXIST, subject: "\(kind) is there")
        }
        return known
    }

    func serves(_ point: HookPoint) -> Bool { self == .clsact || !point.isEgress }

    /// The device's hooks that have filters with this one. Asked for those of egress, `ingress` tells of its own.
    func points(_ ifindex: UInt32) -> [HookPoint] {
        [true, false].map { HookPoint(ifindex: ifindex, isEgress: $0) }.filter(serves)
    }

    func add(to ifindex: UInt32, _ kernel: Kernel) throws {
        try change(.createQdisc, Int32(RTM_NEWQDISC), UInt16(NLM_F_CREATE | NLM_F_EXCL), ifindex, kernel)
    }

    func remove(from ifindex: UInt32, _ kernel: Kernel) throws {
        try change(.destroyQdisc, Int32(RTM_DELQDISC), 0, ifindex, kernel)
    }

    private func change(_ call: KernelCall, _ type: Int32, _ flags: UInt16, _ ifindex: UInt32, _ kernel: Kernel) throws {
        var request = tcmsg()
        request.tcm_family = UInt8(AF_UNSPEC)
        request.tcm_ifindex = Int32(ifindex)
        // TC_H_CLSACT is the same number.
        request.tcm_parent = UInt32(TC_H_INGRESS)
        request.tcm_handle = UInt32(TC_H_INGRESS) & 0xFFFF_0000
        try kernel.check(call, rawValue) {
            do {
                try NetlinkSocket(kernel).change(type, flags, request, kind: (Int(TCA_KIND), rawValue))
                return 0
            } catch {
                errno = (error as? KernelError)?.number ?? EIO
                return -1
            }
        }
    }
}
