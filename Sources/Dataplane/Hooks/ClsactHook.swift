// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// Programs attached as filters of a clsact qdisc, for kernels without TCX.
///
/// A filter has no owner and no pin: ours are known by priority, handle and the id of the program. The qdisc is ours
/// only if we made it, which a pin tells.
struct ClsactHook: HookMechanism {
    typealias Filter = AttachmentSpec.ClsactFilter

    /// Our filters' handles count up from here.
    private static let firstHandle = OwnFilter.handleBase + 1
    /// ETH_P_ALL in network byte order, which libbpf's filters are for.
    private static let allProtocols = UInt16(0x0003).bigEndian

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    /// A place for an attachment's filters, the same one on both hooks: the former if it is still ours or free; else
    /// the first priority if only eBPF filters are there, and the first free handle.
    func choose(_ points: [HookPoint], former: Filter?, programs: Set<UInt32>) throws -> Filter {
        try refuseIngress(points)
        let there = try points.flatMap { try TrafficControl.filters($0, kernel) }
        if let former {
            let taken = there.contains {
                $0.priority == former.priority && $0.handle == former.handle && !($0.program.map(programs.contains) ?? false)
            }
            if !taken { return former }
        }
        var priority: UInt32 = 1
        while there.contains(where: { $0.priority == priority && ($0.kind != "bpf" || $0.networkProtocol != Self.allProtocols) }) {
            priority += 1
        }
        var handle = Self.firstHandle
        while there.contains(where: { $0.priority == priority && $0.handle == handle }) { handle += 1 }
        return Filter(priority: priority, handle: handle)
    }

    private func refuseIngress(_ points: [HookPoint]) throws {
        for ifindex in Set(points.map(\.ifindex)) {
            if try TrafficControl.ingressQdisc(ifindex, kernel) == "ingress" { throw Self.conflict }
        }
    }

    private static let conflict = Failure(
        .qdiscConflict,
        "an ingress qdisc is on the device, as libvirt's <bandwidth><outbound> makes it, and without TCX (Linux 6.6) a tap needs clsact in "
            + "its place; remove the outbound bandwidth limit from the interface, or use a newer kernel")

    func attach(_ program: TapProgram, at place: HookPlace, _ undo: Undo) throws {
        let filter = try filter(place)
        try makeQdisc(place.point.ifindex, undo)
        try kernel.check(.attachFilter) {
            clibbpf_filter_attach(
                CInt(place.point.ifindex), place.point.isEgress ? 1 : 0, filter.priority, filter.handle, program.object.descriptor, 0)
        }
        undo.add { try detach(place.point, filter) }
    }

    func update(_ program: TapProgram, at place: HookPlace, former: KernelObject?, _ undo: Undo) throws {
        let filter = try filter(place)
        try exchange(program.object, place.point, filter)
        if let former { undo.add { try exchange(former, place.point, filter) } }
    }

    private func exchange(_ program: KernelObject, _ point: HookPoint, _ filter: Filter) throws {
        try kernel.check(.updateLink) {
            clibbpf_filter_attach(CInt(point.ifindex), point.isEgress ? 1 : 0, filter.priority, filter.handle, program.descriptor, 1)
        }
    }

    private func detach(_ point: HookPoint, _ filter: Filter) throws {
        try kernel.check(.detachFilter) {
            clibbpf_filter_detach(CInt(point.ifindex), point.isEgress ? 1 : 0, filter.priority, filter.handle)
        }
    }

    func isAttached(_ place: HookPlace, programs: Set<UInt32>) throws -> Bool {
        try find(place, programs) != nil
    }

    func observe(_ place: HookPlace, program: UInt32?, isOurs: (UInt32) throws -> Bool) throws -> ObservedAttachment.Hook {
        guard DeviceList.exists(place.point.ifindex) else { return .deviceGone }
        guard let filter = place.filter, let program else { return .detached }
        let chain = try TrafficControl.filters(place.point, kernel).filter { $0.handle != 0 }
        guard
            let position = chain.firstIndex(where: {
                $0.priority == filter.priority && $0.handle == filter.handle && $0.program == program
            })
        else { return .detached }
        // One classifier of another kind has several handles and is one program; TCX programs run before all filters.
        var ahead = Set(chain[..<position].map { $0.kind == "bpf" ? "\($0.priority)/\($0.handle)" : "\($0.priority)" }).count
        var foreign = try ahead - chain[..<position].count { try $0.program.map(isOurs) ?? false }
        if let early = try? TCXHook.chain(place.point, kernel) {
            ahead += early.count
            foreign += try early.count { try !isOurs($0) }
        }
        return .attached(position: ahead, foreignAhead: foreign)
    }

    func remove(_ place: HookPlace, programs: Set<UInt32>) throws {
        guard let filter = place.filter, try find(place, programs) != nil else { return }
        try detach(place.point, filter)
    }

    private func find(_ place: HookPlace, _ programs: Set<UInt32>) throws -> TrafficControl.Filter? {
        guard let filter = place.filter, DeviceList.exists(place.point.ifindex),
            try TrafficControl.ingressQdisc(place.point.ifindex, kernel) == "clsact"
        else { return nil }
        return try TrafficControl.filters(place.point, kernel).first {
            $0.priority == filter.priority && $0.handle == filter.handle && ($0.program.map(programs.contains) ?? false)
        }
    }

    private func filter(_ place: HookPlace) throws -> Filter {
        guard let filter = place.filter else { throw KernelError(call: .attachFilter, number: EINVAL, subject: "no place chosen") }
        return filter
    }

    // MARK: Filters without pins

    private static func points(_ ifindex: UInt32) -> [HookPoint] {
        Direction.allCases.map { HookPoint($0, ifindex: ifindex, isMacvtap: false) }
    }

    /// All filters of ours on a device, whether or not a pin tells of them.
    func ownFilters(_ ifindex: UInt32) throws -> [OwnFilter] {
        try Self.points(ifindex).flatMap { point in
            try TrafficControl.filters(point, kernel).compactMap { try OwnFilter($0, point, kernel) }
        }
    }

    /// No error when it went with its device.
    func remove(_ filter: OwnFilter) throws {
        do {
            try detach(filter.point, Filter(priority: filter.priority, handle: filter.handle))
        } catch let error as KernelError where [ENODEV, ENOENT].contains(error.number) {}
    }

    // MARK: The qdisc

    private func makeQdisc(_ ifindex: UInt32, _ undo: Undo) throws {
        switch try TrafficControl.ingressQdisc(ifindex, kernel) {
        case "clsact": return
        case nil: break
        default: throw Self.conflict
        }
        // The pin first: a qdisc that nobody knows to be ours would stay for ever.
        let path = pins.qdisc(ifindex)
        try kernel.unlink(path)
        try kernel.pin(try kernel.createArray("virt_tap_qdisc", valueSize: 4, entries: 1), at: path)
        undo.add { try kernel.unlink(path) }
        do {
            try kernel.check(.createClsact) { clibbpf_clsact_create(CInt(ifindex)) }
        } catch let error as KernelError where error.number == EEXIST {
            try kernel.unlink(path)
            guard try TrafficControl.ingressQdisc(ifindex, kernel) == "clsact" else { throw Self.conflict }
            return
        }
        undo.add { try destroy(ifindex) }
    }

    /// Removes the qdisc with the last of our filters, if we made it and no other filter is on it. With one, it is
    /// left to whoever relies on it.
    func releaseQdisc(_ ifindex: UInt32) throws {
        let path = pins.qdisc(ifindex)
        guard pins.exists(path) else { return }
        if DeviceList.exists(ifindex), try TrafficControl.ingressQdisc(ifindex, kernel) == "clsact" {
            if try !ownFilters(ifindex).isEmpty { return }
            let left = try Self.points(ifindex).flatMap { try TrafficControl.filters($0, kernel) }
            if left.isEmpty { try destroy(ifindex) }
        }
        try kernel.unlink(path)
    }

    private func destroy(_ ifindex: UInt32) throws {
        try kernel.check(.destroyClsact) { clibbpf_clsact_destroy(CInt(ifindex)) }
    }
}
