// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides, from the host's devices, whether copies that this host makes can reach a tapped device with their mark.
///
/// Where they cannot, a frame with the mark is somebody else's and should have been copied. In doubt the answer is yes.
public struct CopyArrival {
    private let devices: DeviceTable
    private let target: HostDevice
    /// Devices that the walk has visited as senders, and as receivers.
    private var sending: Set<UInt32> = []
    private var receiving: Set<UInt32> = []

    private init(_ devices: DeviceTable, to target: HostDevice) {
        self.devices = devices
        self.target = target
    }

    /// - Parameters:
    ///   - ifindex: the tapped device.
    ///   - direction: the direction of the frames, as the guest sees it.
    ///   - destination: the kind of the tap's destination.
    ///   - destinations: the present destinations of all taps of the host.
    public static func isPossible(
        at ifindex: UInt32, _ direction: Direction, of destination: DestinationTarget.Kind, destinations: [DestinationRecord],
        devices: DeviceTable?
    ) -> Bool {
        guard let target = devices?[ifindex], let devices else { return true }
        // The counter includes packets of the tap's own tunnel, which guests may forward.
        if destination.isTunnel { return true }
        // What a guest sends begins at its tap device. To a macvtap device the host can send as well.
        if direction == .outbound, target.kind != .macvtap { return false }
        var arrival = CopyArrival(devices, to: target)
        return destinations.contains { record in
            // At a monitor port's far end a program takes every frame out before a bridge or a device on it sees one.
            guard record.ifindex != 0, record.kind != .monitor else { return false }
            guard let device = devices[record.ifindex] else { return true }
            // Into a macvtap's guest copies go as if they had come in by it.
            if record.kind == .domain, device.kind == .macvtap { return device.index == ifindex }
            return arrival.isReached(bySendingFrom: device)
        }
    }

    private mutating func isReached(bySendingFrom device: HostDevice) -> Bool {
        if device.index == target.index { return true }
        guard sending.insert(device.index).inserted else { return false }
        switch device.kind {
        // Behind these is a guest, a program, or this host's own IP stack.
        case .tap, .tun, .loopback: return false
        case .bridge: return isReached(byPortsOf: device)
        case .macvtap, .other("macvlan"): return isReached(byNeighboursOf: device)
        case .other("veth"), .other("netkit"):
            // The kernel clears the mark when a frame enters another network namespace.
            if device.isLinkElsewhere { return false }
            return device.peer.flatMap { devices[$0] }.map { isReached(byReceivingAt: $0) } ?? true
        case .other("vlan"), .other("macsec"): return device.lower.flatMap { devices[$0] }.map { isReached(bySendingFrom: $0) } ?? true
        case .other("bond"), .other("team"), .other("hsr"): return isReached(byPortsOf: device)
        // Frames leave the host, without the mark, or go nowhere.
        case .other(""), .other("dummy"): return false
        case .other: return true
        }
    }

    private mutating func isReached(byReceivingAt device: HostDevice) -> Bool {
        if device.index == target.index { return true }
        guard receiving.insert(device.index).inserted else { return false }
        switch device.masterKind {
        case nil: break
        case "bridge": return device.master.flatMap { devices[$0] }.map { isReached(bySendingFrom: $0) } ?? true
        default: return true
        }
        for upper in devices.uppers(of: device) {
            switch upper.kind {
            case .macvtap, .other("macvlan"), .other("vlan"), .other("macsec"): if isReached(byReceivingAt: upper) { return true }
            default: break
            }
        }
        return false
    }

    private mutating func isReached(byPortsOf device: HostDevice) -> Bool {
        for port in devices.ports(of: device) {
            if isReached(bySendingFrom: port) { return true }
        }
        return false
    }

    /// Whether a device on the same adapter is reached: they get one another's frames, as ports of a bridge do.
    private mutating func isReached(byNeighboursOf device: HostDevice) -> Bool {
        guard !device.isLinkElsewhere, let link = device.link, let lower = devices[link] else { return true }
        for neighbour in devices.uppers(of: lower) where neighbour.index != device.index {
            if isReached(byReceivingAt: neighbour) { return true }
        }
        return isReached(bySendingFrom: lower)
    }
}

/// Remembers how the counter `marked` of each attachment grew, since the counter itself does not say when, and whether it still grows.
public struct MarkWatch: Sendable {
    /// The number of seconds without a frame after which the growth has ended.
    public static let patience: Int64 = 600

    /// A period in which frames with our mark came.
    public struct Growth: Hashable, Sendable {
        /// The number of frames.
        public var packets: UInt64
        /// When the first was seen.
        public var since: Timestamp
    }

    private struct Record {
        var count: UInt64
        var growth: Growth?
        var last: Timestamp
        var mark: PacketMark
    }

    private var records: [AttachmentID: [Direction: Record]] = [:]

    public init() {}

    /// Compares the counters with those noted before.
    /// - Parameters:
    ///   - counters: the counters at the time `now`.
    ///   - isNew: whether the attachment is new, so that all that it has counted is growth.
    public mutating func note(
        _ id: AttachmentID, _ mark: PacketMark, _ counters: [Direction: DirectionCounters], isNew: Bool, at now: Timestamp
    ) {
        for (direction, counter) in counters {
            let count = counter.marked.packets
            // The counter starts again at zero with maps of another layout, and growth of another mark does not count.
            guard var record = records[id]?[direction], record.mark == mark, record.count <= count else {
                let growth = isNew && count > 0 && records[id]?[direction] == nil ? Growth(packets: count, since: now) : nil
                records[id, default: [:]][direction] = Record(count: count, growth: growth, last: now, mark: mark)
                continue
            }
            if now.seconds - record.last.seconds > Self.patience { record.growth = nil }
            if count > record.count {
                record.growth = Growth(packets: (record.growth?.packets ?? 0) + count - record.count, since: record.growth?.since ?? now)
                (record.count, record.last) = (count, now)
            }
            records[id]?[direction] = record
        }
    }

    /// Forgets all attachments but these.
    public mutating func keep(_ ids: Set<AttachmentID>) { records = records.filter { ids.contains($0.key) } }

    /// The recent growth of an attachment, by direction.
    public func growth(of id: AttachmentID) -> [Direction: Growth] { (records[id] ?? [:]).compactMapValues(\.growth) }
}
