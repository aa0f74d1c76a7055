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
