// SPDX-License-Identifier: LGPL-2.1-or-later

/// A monitor port: a veth pair of ours that takes copies at one end, and at the other of which sensors listen.
public struct MonitorPort: Hashable, Sendable {
    /// What the configuration asks for.
    public struct Spec: Hashable, Sendable {
        /// The device at which sensors listen.
        public var name: String
        /// What copies are marked with; nothing else gets into the port. Of more than four the first four count.
        public var marks: [PacketMark]
        /// How programs are attached on this host.
        public var mechanism: Mechanism

        public init(name: String, marks: [PacketMark], mechanism: Mechanism) {
            self.name = name
            self.marks = marks
            self.mechanism = mechanism
        }
    }

    /// What had to be done to have the port as it is wished.
    public enum Change: Hashable, Sendable {
        /// There was none.
        case made
        /// Somebody had removed programs of it, or gone in front of them; at which hooks of which devices, for people.
        case guarded([String])
        /// It is as another version of virt-tap or another configuration had it, and was brought up to date.
        case updated
    }

    /// Of our end, that copies are sent to.
    public var ifindex: UInt32
    /// What the sensors' end is called now: somebody may have renamed it. `nil`: it is in another network namespace.
    public var listener: String?
    public var change: Change?
    /// Why it could not be looked at, or brought up to date, when that was tried last: what is known of it is what was found before.
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
    /// What our end is called: its name begins as those of all our devices, and has at most 15 bytes. It is told from other ports' by the
    /// alias.
    /// - Parameter name: of the sensors' end.
    public static func device(of name: String) -> String {
        let room = 15 - HostDevice.ownPrefix.utf8.count
        // virttap-cut and virttap-cut-in are the relay.
        if name.utf8.count <= room, !name.hasPrefix("cut") { return HostDevice.ownPrefix + name }
        let hash = String(StableHash.of(name) & 0xFFF_FFFF, radix: 16)
        return HostDevice.ownPrefix + String(repeating: "0", count: room - hash.utf8.count) + hash
    }
}
