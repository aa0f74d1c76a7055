// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// What is on a device's TC hooks, by rtnetlink.
enum TrafficControl {
    /// A classifier as the kernel lists it, in the order in which they run.
    struct Filter: Hashable {
        var kind: String
        var priority: UInt32
        /// As in the frame: in network byte order.
        var networkProtocol: UInt16
        /// 0: this is not a filter but the head of those of one kind and priority.
        var handle: UInt32
        /// Only of kind "bpf".
        var program: UInt32?
        /// Only of kind "bpf": whatever who attached it called it.
        var name: String?
    }

    /// The devices that have a qdisc for filters, clsact or `ingress`.
    static func filterDevices(_ kernel: Kernel) throws -> [UInt32] {
        var request = tcmsg()
        request.tcm_family = UInt8(AF_UNSPEC)
        let devices = try NetlinkSocket(kernel).dump(Int32(RTM_GETQDISC), request).compactMap { message -> UInt32? in
            guard message.type == Int32(RTM_NEWQDISC),
                message.attributes(after: tcmsg.self).text(Int(TCA_KIND)).flatMap(FilterQdisc.init) != nil
            else { return nil }
            return message.header(tcmsg.self).map { UInt32($0.tcm_ifindex) }
        }
        return Set(devices).sorted()
    }

    /// The qdisc at a device's TC_H_INGRESS: `clsact`, `ingress` (which excludes clsact), or none.
    static func ingressQdisc(_ ifindex: UInt32, _ kernel: Kernel) throws -> String? {
        var request = tcmsg()
        request.tcm_family = UInt8(AF_UNSPEC)
        request.tcm_ifindex = Int32(ifindex)
        request.tcm_parent = UInt32(TC_H_INGRESS)
        let message: NetlinkMessage?
        do {
            message = try NetlinkSocket(kernel).get(Int32(RTM_GETQDISC), request)
        } catch let error as KernelError where error.number == EINVAL {
            return nil
        }
        guard let message, message.type == Int32(RTM_NEWQDISC) else { return nil }
        return message.attributes(after: tcmsg.self).text(Int(TCA_KIND))
    }

    static func filters(_ point: HookPoint, _ kernel: Kernel) throws -> [Filter] {
        var request = tcmsg()
        request.tcm_family = UInt8(AF_UNSPEC)
        request.tcm_ifindex = Int32(point.ifindex)
        // TC_H_MAKE(TC_H_CLSACT, …)
        request.tcm_parent = UInt32(TC_H_CLSACT) & 0xFFFF_0000 | UInt32(point.isEgress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS)
        let messages: [NetlinkMessage]
        do {
            messages = try NetlinkSocket(kernel).dump(Int32(RTM_GETTFILTER), request)
        } catch let error as KernelError where error.number == EINVAL || error.number == ENOENT {
            // No qdisc there.
            return []
        }
        return messages.compactMap { message in
            guard message.type == Int32(RTM_NEWTFILTER), let header = message.header(tcmsg.self) else { return nil }
            let attributes = message.attributes(after: tcmsg.self)
            guard let kind = attributes.text(Int(TCA_KIND)) else { return nil }
            let options = kind == "bpf" ? attributes.nested(Int(TCA_OPTIONS)) : nil
            return Filter(
                kind: kind, priority: header.tcm_info >> 16, networkProtocol: UInt16(truncatingIfNeeded: header.tcm_info),
                handle: header.tcm_handle, program: options?.number(Int(TCA_BPF_ID), as: UInt32.self),
                name: options?.text(Int(TCA_BPF_NAME)))
        }
    }
}
