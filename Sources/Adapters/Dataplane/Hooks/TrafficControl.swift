// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import CLibmnl
import Glibc

/// Reads what is on a device's TC hooks, by rtnetlink.
enum TrafficControl {
    /// A filter as the kernel lists it, in the order in which they run.
    struct Filter: Hashable {
        var kind: String
        var priority: UInt32
        /// In network byte order, as in a frame.
        var networkProtocol: UInt16
        /// 0: this is not a filter but the head of all filters of one kind and priority.
        var handle: UInt32
        /// The id of the program; only for kind "bpf".
        var program: UInt32?
        /// The name that whoever attached it chose; only for kind "bpf".
        var name: String?
    }

    /// Reads which devices have a qdisc for filters, clsact or `ingress`.
    static func readFilterDevices(_ kernel: Kernel) throws -> [UInt32] {
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

    /// Reads the qdisc at a device's TC_H_INGRESS: `clsact`, `ingress` (which excludes clsact), or none.
    static func readIngressQdisc(_ ifindex: UInt32, _ kernel: Kernel) throws -> String? {
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

    static func readFilters(_ point: HookPoint, _ kernel: Kernel) throws -> [Filter] {
        var request = tcmsg()
        request.tcm_family = UInt8(AF_UNSPEC)
        request.tcm_ifindex = Int32(point.ifindex)
        // TC_H_MAKE(TC_H_CLSACT, …)
        request.tcm_parent = UInt32(TC_H_CLSACT) & 0xFFFF_0000 | UInt32(point.isEgress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS)
        let messages: [NetlinkMessage]
        do {
            messages = try NetlinkSocket(kernel).dump(Int32(RTM_GETTFILTER), request)
        } catch let error as KernelError where error.number == EINVAL || error.number == ENOENT {
            // The device has no such qdisc.
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

/// The two qdiscs that hold filters for what comes into a device; clsact also for what leaves it. A device has at most
/// one of them.
///
/// When libvirt limits what a guest sends, it replaces an `ingress` qdisc with its own, and fails on clsact. So clsact is used only where
/// egress is needed.
enum FilterQdisc: String {
    case ingress
    case clsact

    /// The qdisc that suffices for these hook points.
    init(for points: some Sequence<HookPoint>) {
        self = points.contains(where: \.isEgress) ? .clsact : .ingress
    }

    /// Reads the device's qdisc; `nil` for none, and where there is no device.
    static func read(_ ifindex: UInt32, _ kernel: Kernel) throws -> FilterQdisc? {
        let found: String?
        do {
            found = try TrafficControl.readIngressQdisc(ifindex, kernel)
        } catch let error as KernelError where error.number == ENODEV {
            return nil
        }
        guard let kind = found else { return nil }
        guard let known = FilterQdisc(rawValue: kind) else {
            throw KernelError(call: .createQdisc, number: EEXIST, subject: "a qdisc of kind \(kind) is there")
        }
        return known
    }

    func serves(_ point: HookPoint) -> Bool { self == .clsact || !point.isEgress }

    /// The hook points that have filters with this qdisc. Asked for egress, the kernel would list those of `ingress`.
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
        // TC_H_CLSACT and TC_H_INGRESS are the same number.
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

/// A filter that virt-tap attached, recognised without a pin.
struct OwnFilter {
    let point: HookPoint
    let priority: UInt32
    let handle: UInt32
    let program: UInt32

    /// The upper half of our handles: "vt".
    static let handleBase: UInt32 = 0x7674_0000

    /// Recognises it by its handle and by the name that libbpf gives it: the program's name and id.
    /// - Returns: `nil` for a filter that is not ours.
    init?(_ filter: TrafficControl.Filter, _ point: HookPoint, _ kernel: Kernel) throws {
        guard filter.kind == "bpf", filter.handle & 0xFFFF_0000 == Self.handleBase, let program = filter.program,
            filter.name == "\(TapProgram.name):[\(program)]", try kernel.isTapProgram(program) ?? true
        else { return nil }
        self.point = point
        self.program = program
        priority = filter.priority
        handle = filter.handle
    }
}

extension Kernel {
    /// Reads whether a program has the name of ours, and maps with the names of ours.
    /// - Returns: `nil` when the kernel refuses: opening a program by its id needs CAP_SYS_ADMIN.
    func isTapProgram(_ id: UInt32) throws -> Bool? {
        let program: KernelObject
        do {
            program = KernelObject(owning: try check(.identify) { bpf_prog_get_fd_by_id(id) })
        } catch let error as KernelError where [EPERM, EACCES].contains(error.number) {
            return nil
        } catch let error as KernelError where error.number == ENOENT {
            return false
        }
        var info = bpf_prog_info()
        try check(.identify) { clibbpf_program_info(program.descriptor, &info) }
        guard Self.text(info.name) == TapProgram.name else { return false }
        let names = try maps(of: program).map { id in
            let map = KernelObject(owning: try check(.identify) { bpf_map_get_fd_by_id(id) })
            return Self.text(try mapInfo(map).name)
        }
        return [MapLayout.counters, MapLayout.destinations, MapLayout.destinationCounters].map(\.name).allSatisfy(names.contains)
    }

    private static func text<Characters>(_ name: Characters) -> String {
        withUnsafeBytes(of: name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
