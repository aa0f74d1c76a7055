// SPDX-License-Identifier: LGPL-2.1-or-later

/// The host's configuration, /etc/virt-tap/config.xml; the defaults are those of a host without the file.
public struct HostConfiguration: Hashable, Sendable {
    /// `<libvirt uri>`; the command line's `--connect` wins; `nil`: `LIBVIRT_DEFAULT_URI`, else qemu:///system.
    public var libvirtURI: String?
    public var policy: Policy
    public var mark: PacketMark
    /// `<hook timeout>` in seconds, 1 to 10 (the hook script ends everything after 15): how long a starting guest may be kept waiting.
    public var hookTimeout: UInt32
    /// `<resync interval>` in seconds, 1 to 86,400.
    public var resyncInterval: UInt32
    public var mechanism: MechanismChoice
    /// `<limit rate>`: of all copies together.
    public var limit: RateLimit?
    /// `<control group>`: who may read status through status.sock; `nil`: no such socket.
    public var controlGroup: String?
    /// In the order of the file; names are unique.
    public var destinations: [DestinationDefinition]

    public init(
        libvirtURI: String? = nil, policy: Policy = Policy(), mark: PacketMark = PacketMark(), hookTimeout: UInt32 = 5,
        resyncInterval: UInt32 = 60, mechanism: MechanismChoice = .auto, limit: RateLimit? = nil, controlGroup: String? = nil,
        destinations: [DestinationDefinition] = []
    ) {
        self.libvirtURI = libvirtURI
        self.policy = policy
        self.mark = mark
        self.hookTimeout = hookTimeout
        self.resyncInterval = resyncInterval
        self.mechanism = mechanism
        self.limit = limit
        self.controlGroup = controlGroup
        self.destinations = destinations
    }

    public func destination(named name: TapName) -> Result<DestinationDefinition, Failure> {
        if let definition = destinations.first(where: { $0.name == name }) { return .success(definition) }
        let nearest = NearestName.of(name.text, among: destinations.map(\.name.text))
        return .failure(
            Failure(
                .noSuchDestination, "this host's configuration defines no destination \(name)",
                advice: nearest.map { "did you mean \($0)?" }))
    }
}

/// What the host lets domains' metadata do.
public struct Policy: Hashable, Sendable {
    /// `taps="no"` stops all copying on this host.
    public var tapsAllowed: Bool
    /// How many taps one domain may have, 1 to 32.
    public var maximumTaps: UInt32
    /// `nil`: no inline destinations at all.
    public var inline: InlinePolicy?

    public init(tapsAllowed: Bool = true, maximumTaps: UInt32 = 8, inline: InlinePolicy? = nil) {
        self.tapsAllowed = tapsAllowed
        self.maximumTaps = maximumTaps
        self.inline = inline
    }
}

/// Which inline destinations are allowed: both lists must allow one.
public struct InlinePolicy: Hashable, Sendable {
    public var kinds: Set<Tunnel.Kind>
    /// Networks in CIDR notation, IPv4 or IPv6; checked by the parser.
    public var remotes: [AddressRange]

    public init(kinds: Set<Tunnel.Kind>, remotes: [AddressRange]) {
        self.kinds = kinds
        self.remotes = remotes
    }
}

/// What copies carry in skb->mark, so that tapped devices pass them over.
public struct PacketMark: Hashable, Codable, Sendable {
    /// Not zero, and within `mask`.
    public var value: UInt32
    /// The bits that are compared, and that are set in copies. Not zero.
    public var mask: UInt32

    /// Without a value the one that nobody is known to use: docs/reference/configuration.md lists who uses which, and a test compares.
    ///
    /// It has bits of its own that are set and others that are not, so that no single bit of somebody else's matches it, and leaves
    /// out those that others set and clear in passing (0x80, 0xef00, 0xff0000, 0x80000000): they would make copies unknown.
    public init(value: UInt32 = 0x5600_1014, mask: UInt32 = 0x7f00_107f) {
        self.value = value
        self.mask = mask
    }

    /// Whether a frame with this skb->mark counts as a copy.
    public func isCarried(by mark: UInt32) -> Bool { mark & mask == value }

    /// Whether a rule for packets whose mark has `other` in the bits of `otherMask` fits copies, or those packets count as copies.
    public func collides(with other: UInt32, _ otherMask: UInt32 = .max) -> Bool {
        isCarried(by: other) || (other & otherMask != 0 && value & otherMask == other & otherMask)
    }
}

extension PacketMark: CustomStringConvertible {
    /// Such as `0x2000/0x2000`.
    public var description: String { "0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))" }
}

/// How a program is attached to a device.
public enum Mechanism: String, CaseIterable, Codable, Sendable {
    /// TCX links, Linux 6.6 and later: no qdisc, replaced in place, gone with the device.
    case tcx
    /// A filter on the clsact qdisc, for older kernels.
    case clsact
}

/// `<mechanism name>` of the configuration.
public enum MechanismChoice: String, CaseIterable, Codable, Sendable {
    /// TCX where the kernel has it, else clsact.
    case auto
    case tcx
    case clsact
}
