// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// Programs attached as filters of a clsact qdisc, for kernels without TCX. Where egress is not needed an `ingress`
/// qdisc is used, which can stand beside libvirt's bandwidth limits.
///
/// A filter has no owner and no pin: ours are recognised by priority, handle and the id of the program. The qdisc is ours
/// only if we created it, which a pin records.
struct ClsactHook: HookMechanism {
    typealias Filter = AttachmentSpec.ClsactFilter

    /// The handle of our first filter; those of others count up from it.
    private static let firstHandle = OwnFilter.handleBase + 1
    /// ETH_P_ALL in network byte order, which libbpf's filters are for.
    private static let allProtocols = UInt16(0x0003).bigEndian

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    /// Chooses priority and handle of an attachment's filters, the same on both hooks: the former ones if they are still ours or free;
    /// else the lowest priority that only eBPF filters have, and the first free handle.
    func chooseFilter(_ points: [HookPoint], former: Filter?, programs: Set<UInt32>) throws -> Filter {
        try refuseConflict(points)
        let present = try points.flatMap { try TrafficControl.readFilters($0, kernel) }
        if let former {
            let isInUse = present.contains {
                $0.priority == former.priority && $0.handle == former.handle && !($0.program.map(programs.contains) ?? false)
            }
            if !isInUse { return former }
        }
        var priority: UInt32 = 1
        while present.contains(where: { $0.priority == priority && ($0.kind != "bpf" || $0.networkProtocol != Self.allProtocols) }) {
            priority += 1
        }
        var handle = Self.firstHandle
        while present.contains(where: { $0.priority == priority && $0.handle == handle }) { handle += 1 }
        return Filter(priority: priority, handle: handle)
    }

    private func refuseConflict(_ points: [HookPoint]) throws {
        guard FilterQdisc(for: points) == .clsact else { return }
        for ifindex in Set(points.map(\.ifindex)) where try FilterQdisc.read(ifindex, kernel) == .ingress {
            guard try holdsOnlyOurs(ifindex) else { throw Self.conflict }
        }
    }

    private static let conflict = Failure(
        .qdiscConflict,
        "the device has an ingress qdisc, as libvirt makes for a bandwidth limit, and without TCX (Linux 6.6) a tap that copies this "
            + "direction needs clsact instead; remove the limit (domiftune --outbound 0; --inbound 0 on a macvtap), copy only the "
            + "direction that the limit is for, or use a newer kernel")

    func attach(_ program: TapProgram, at hook: AttachmentHook, _ undo: Undo) throws {
        let filter = try filter(hook)
        try createQdisc(for: hook.point, undo)
        try add(program.object, hook.point, filter)
        undo.add { try detach(hook.point, filter) }
    }

    func replace(_ program: TapProgram, at hook: AttachmentHook, former: KernelObject?, _ undo: Undo) throws {
        let filter = try filter(hook)
        try replaceProgram(program.object, hook.point, filter)
        if let former { undo.add { try replaceProgram(former, hook.point, filter) } }
    }

    private func add(_ program: KernelObject, _ point: HookPoint, _ filter: Filter) throws {
        try kernel.check(.attachFilter) {
            clibbpf_filter_attach(CInt(point.ifindex), point.isEgress ? 1 : 0, filter.priority, filter.handle, program.descriptor, 0)
        }
    }

    private func replaceProgram(_ program: KernelObject, _ point: HookPoint, _ filter: Filter) throws {
        try kernel.check(.updateLink) {
            clibbpf_filter_attach(CInt(point.ifindex), point.isEgress ? 1 : 0, filter.priority, filter.handle, program.descriptor, 1)
        }
    }

    private func detach(_ point: HookPoint, _ filter: Filter) throws {
        try kernel.check(.detachFilter) {
            clibbpf_filter_detach(CInt(point.ifindex), point.isEgress ? 1 : 0, filter.priority, filter.handle)
        }
    }

    func isAttached(_ hook: AttachmentHook, programs: Set<UInt32>) throws -> Bool {
        try find(hook, programs) != nil
    }

    func observe(_ hook: AttachmentHook, program: UInt32?, isOurs: (UInt32) throws -> Bool) throws -> ObservedAttachment.Hook {
        guard DeviceList.exists(hook.point.ifindex) else { return .deviceGone }
        guard let filter = hook.filter, let program else { return .detached }
        let chain = try TrafficControl.readFilters(hook.point, kernel).filter { $0.handle != 0 }
        guard
            let position = chain.firstIndex(where: {
                $0.priority == filter.priority && $0.handle == filter.handle && $0.program == program
            })
        else { return .detached }
        // A classifier of another kind counts once, however many handles it has. TCX programs run before all filters.
        var ahead = Set(chain[..<position].map { $0.kind == "bpf" ? "\($0.priority)/\($0.handle)" : "\($0.priority)" }).count
        var foreign = try ahead - chain[..<position].count { try $0.program.map(isOurs) ?? false }
        if let early = try? TCXHook.readChain(hook.point, kernel) {
            ahead += early.count
            foreign += try early.count { try !isOurs($0) }
        }
        return .attached(position: ahead, foreignAhead: foreign)
    }

    func remove(_ hook: AttachmentHook, programs: Set<UInt32>) throws {
        guard let filter = hook.filter, try find(hook, programs) != nil else { return }
        try detach(hook.point, filter)
    }

    private func find(_ hook: AttachmentHook, _ programs: Set<UInt32>) throws -> TrafficControl.Filter? {
        guard let filter = hook.filter, DeviceList.exists(hook.point.ifindex),
            try FilterQdisc.read(hook.point.ifindex, kernel)?.serves(hook.point) == true
        else { return nil }
        return try TrafficControl.readFilters(hook.point, kernel).first {
            $0.priority == filter.priority && $0.handle == filter.handle && ($0.program.map(programs.contains) ?? false)
        }
    }

    private func filter(_ hook: AttachmentHook) throws -> Filter {
        guard let filter = hook.filter else { throw KernelError(call: .attachFilter, number: EINVAL, subject: "no filter chosen") }
        return filter
    }

    // MARK: Filters without pins

    private func readFilters(_ ifindex: UInt32) throws -> [(point: HookPoint, filter: TrafficControl.Filter)] {
        let points = try FilterQdisc.read(ifindex, kernel)?.points(ifindex) ?? []
        return try points.flatMap { point in try TrafficControl.readFilters(point, kernel).map { (point, $0) } }
    }

    /// Reads all filters of ours on a device, whether or not a pin records them.
    func readOwnFilters(_ ifindex: UInt32) throws -> [OwnFilter] {
        try readFilters(ifindex).compactMap { try OwnFilter($0.filter, $0.point, kernel) }
    }

    /// Detaches a filter. It is no error when it is gone with its device.
    func remove(_ filter: OwnFilter) throws {
        do {
            try detach(filter.point, Filter(priority: filter.priority, handle: filter.handle))
        } catch let error as KernelError where [ENODEV, ENOENT].contains(error.number) {}
    }

    // MARK: The qdisc

    private func createQdisc(for point: HookPoint, _ undo: Undo) throws {
        let ifindex = point.ifindex
        if let present = try FilterQdisc.read(ifindex, kernel) {
            if present.serves(point) { try forgetReplacedQdisc(ifindex) } else { try replaceQdisc(ifindex, undo) }
            return
        }
        // The pin comes first: a qdisc that no pin records as ours would stay for ever.
        let path = pins.qdisc(ifindex)
        try kernel.unlink(path)
        try kernel.pin(try kernel.createArray("virt_tap_qdisc", valueSize: 4, entries: 1), at: path)
        undo.add { try kernel.unlink(path) }
        let qdisc = FilterQdisc(for: [point])
        do {
            try qdisc.add(to: ifindex, kernel)
        } catch let error as KernelError where error.number == EEXIST {
            try kernel.unlink(path)
            guard try FilterQdisc.read(ifindex, kernel)?.serves(point) == true else { throw Self.conflict }
            return
        }
        undo.add { try qdisc.remove(from: ifindex, kernel) }
    }

    /// Unpins our record of a qdisc on which we have no filter: somebody replaced ours, as libvirt does with `ingress`. After a crash it
    /// may be ours all the same, and then stays when the tap goes, which is better than removing somebody else's.
    private func forgetReplacedQdisc(_ ifindex: UInt32) throws {
        let path = pins.qdisc(ifindex)
        guard pins.exists(path), try readOwnFilters(ifindex).isEmpty else { return }
        try kernel.unlink(path)
    }

    private func holdsOnlyOurs(_ ifindex: UInt32) throws -> Bool {
        guard pins.exists(pins.qdisc(ifindex)) else { return false }
        return try readFilters(ifindex).allSatisfy { try $0.filter.handle == 0 || OwnFilter($0.filter, $0.point, kernel) != nil }
    }

    /// Replaces an `ingress` qdisc of ours with clsact, and moves our other filters to it. The kernel cannot do both at
    /// once, so for some milliseconds those copy nothing.
    private func replaceQdisc(_ ifindex: UInt32, _ undo: Undo) throws {
        guard try holdsOnlyOurs(ifindex) else { throw Self.conflict }
        // Of one priority the newest filter runs first.
        let filters = try readOwnFilters(ifindex).reversed().compactMap { filter in try program(of: filter).map { (filter, $0) } }
        undo.add { try move(filters, to: .ingress, on: ifindex) }
        try move(filters, to: .clsact, on: ifindex)
    }

    private func move(_ filters: [(OwnFilter, KernelObject)], to qdisc: FilterQdisc, on ifindex: UInt32) throws {
        if let present = try FilterQdisc.read(ifindex, kernel) { try present.remove(from: ifindex, kernel) }
        try qdisc.add(to: ifindex, kernel)
        for (filter, program) in filters {
            try add(program, filter.point, Filter(priority: filter.priority, handle: filter.handle))
        }
    }

    /// - Returns: `nil` for a filter that no pin records and whose program may not be opened by its id.
    private func program(of filter: OwnFilter) throws -> KernelObject? {
        for id in try pins.attachmentIDs() where id.ifindex == filter.point.ifindex {
            for direction in Direction.allCases {
                if let program = try kernel.open(pins.program(id, direction), CLIBBPF_PROGRAM), try program.programID() == filter.program {
                    return program
                }
            }
        }
        return try? KernelObject(owning: kernel.check(.identify) { bpf_prog_get_fd_by_id(filter.program) })
    }

    /// Removes the qdisc after the last of our filters, if we created it. With a foreign filter on it, it stays for whoever relies on it.
    func releaseQdisc(_ ifindex: UInt32) throws {
        let path = pins.qdisc(ifindex)
        guard pins.exists(path) else { return }
        if DeviceList.exists(ifindex), let qdisc = try FilterQdisc.read(ifindex, kernel) {
            if try !readOwnFilters(ifindex).isEmpty { return }
            if try readFilters(ifindex).isEmpty { try qdisc.remove(from: ifindex, kernel) }
        }
        try kernel.unlink(path)
    }
}
