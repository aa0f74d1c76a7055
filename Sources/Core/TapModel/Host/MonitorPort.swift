// SPDX-License-Identifier: LGPL-2.1-or-later

/// A monitor port: a veth pair of virt-tap that takes copies at one end; sensors listen at the other.
public struct MonitorPort: Hashable, Sendable {
    /// What the configuration asks for.
    public struct Spec: Hashable, Sendable {
        /// The device at which sensors listen.
        public var name: String
        /// The marks of copies; frames without one of them do not get into the port. Only the first four count.
        public var marks: [PacketMark]
        /// How programs are attached on this host.
        public var mechanism: Mechanism

        public init(name: String, marks: [PacketMark], mechanism: Mechanism) {
            self.name = name
            self.marks = marks
            self.mechanism = mechanism
        }
    }

    /// What had to be done to have the port as desired.
    public enum Change: Hashable, Sendable {
        /// It was installed.
        case made
        /// Somebody had removed its programs or attached others before them. The texts name the hooks and devices.
        case guarded([String])
        /// It was of another version of virt-tap or of another configuration, and was updated.
        case updated
    }

    /// The ifindex of our end, to which copies are sent.
    public var ifindex: UInt32
    /// The present name of the sensors' end, which somebody may have renamed; `nil`: it is in another network namespace.
    public var listener: String?
    public var change: Change?
    /// Why the port could not be read or updated at the last attempt, so that the other properties are those found before.
    public var unseen: Failure?

    public init(ifindex: UInt32, listener: String?, change: Change? = nil) {
        self.ifindex = ifindex
        self.listener = listener
        self.change = change
    }
}

extension DeviceTable {
    /// The device at which sensors listen, whatever it is called, of a monitor port to whose `own` end copies are sent; `nil`: it is in
    /// another network namespace.
    public func listener(ofPort own: HostDevice) -> HostDevice? { own.peer.flatMap { self[$0] } }
}

extension MonitorPort {
    /// The name of our end, with the prefix of all devices of virt-tap and at most 15 bytes. The device's alias distinguishes ports.
    /// - Parameter name: the name of the sensors' end.
    public static func device(of name: String) -> String {
        let room = 15 - HostDevice.ownPrefix.utf8.count
        // virttap-cut and virttap-cut-in are the relay.
        if name.utf8.count <= room, !name.hasPrefix("cut") { return HostDevice.ownPrefix + name }
        let hash = String(StableHash.of(name) & 0xFFF_FFFF, radix: 16)
        return HostDevice.ownPrefix + String(repeating: "0", count: room - hash.utf8.count) + hash
    }
}
