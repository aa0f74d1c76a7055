// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether copies that this host makes can come to a tapped device with their mark on, by what its devices are.
///
/// Where they cannot, a frame with the mark is somebody else's, and should have been copied. Rather yes where it is not known.
public struct CopyArrival {
    private let devices: DeviceTable
    private let target: HostDevice
    /// Devices that were looked at, as those that send, and those that receive.
    private var sending: Set<UInt32> = []
    private var receiving: Set<UInt32> = []

    private init(_ devices: DeviceTable, to target: HostDevice) {
        self.devices = devices
        self.target = target
    }

    /// - Parameters:
    ///   - ifindex: of the tapped device.
    ///   - direction: the guest's, in which the frames go.
    ///   - destination: the kind of the tap's own.
    ///   - destinations: where copies of all taps of the host go now.
    public static func isPossible(
        at ifindex: UInt32, _ direction: Direction, of destination: DestinationTarget.Kind, destinations: [DestinationRecord],
        devices: DeviceTable?
    ) -> Bool {
        guard let target = devices?[ifindex], let devices else { return true }
        // It counts its tunnel's own packets with them, which guests may send on.
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
            // In another network namespace the mark is taken off.
            if device.isLinkElsewhere { return false }
            return device.peer.flatMap { devices[$0] }.map { isReached(byReceivingAt: $0) } ?? true
        case .other("vlan"), .other("macsec"): return device.lower.flatMap { devices[$0] }.map { isReached(bySendingFrom: $0) } ?? true
        case .other("bond"), .other("team"), .other("hsr"): return isReached(byPortsOf: device)
        // They leave the host, where the mark does not go, or go nowhere.
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

    /// Those on the same adapter get one another's frames, as they are of one bridge.
    private mutating func isReached(byNeighboursOf device: HostDevice) -> Bool {
        guard !device.isLinkElsewhere, let link = device.link, let lower = devices[link] else { return true }
        for neighbour in devices.uppers(of: lower) where neighbour.index != device.index {
            if isReached(byReceivingAt: neighbour) { return true }
        }
        return isReached(bySendingFrom: lower)
    }
}

/// Remembers how `marked` of each attachment grew, since the counter itself says neither when nor whether it still does.
public struct MarkWatch: Sendable {
    /// Seconds without a frame after which it has ended.
    public static let patience: Int64 = 600

    /// One time in which frames with our mark came.
    public struct Growth: Hashable, Sendable {
        /// How many.
        public var packets: UInt64
        /// When it was seen first.
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

    /// Takes note of the counters.
    /// - Parameters:
    ///   - counters: what was counted at the time `now`.
    ///   - isNew: whether nothing can have been counted before they are seen for the first time.
    public mutating func note(
        _ id: AttachmentID, _ mark: PacketMark, _ counters: [Direction: DirectionCounters], isNew: Bool, at now: Timestamp
    ) {
        for (direction, counter) in counters {
            let count = counter.marked.packets
            // The counter begins anew with maps of another layout; another mark is another matter.
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

    /// Forgets all but these.
    public mutating func keep(_ ids: Set<AttachmentID>) { records = records.filter { ids.contains($0.key) } }

    /// What has come of late, by direction.
    public func growth(of id: AttachmentID) -> [Direction: Growth] { (records[id] ?? [:]).compactMapValues(\.growth) }
}
