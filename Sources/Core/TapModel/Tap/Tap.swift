// SPDX-License-Identifier: LGPL-2.1-or-later

/// One valid tap: copy traffic of this domain to that destination.
public struct Tap: Hashable, Codable, Sendable {
    /// Unique in the domain, per origin.
    public var name: TapName
    public var origin: TapOrigin
    public var destination: DestinationReference
    public var direction: TapDirection
    /// The interfaces that at least one of these matches are tapped; empty: every interface, hot-plugged ones included.
    public var selectors: [InterfaceSelector]
    /// A pcap-filter(7) expression of 1 to 4,096 bytes, not yet compiled; `nil`: everything.
    public var filter: String?
    public var snaplen: Snaplen?
    public var sampling: Sampling?
    public var rate: RateLimit?
    /// The domain does not start on this host unless this tap is in place.
    public var required: Bool
    public var enabled: Bool
    /// A flow between two domains tapped to the same destination is copied once.
    public var once: Bool

    public static let maximumFilterLength = 4_096

    public init(
        name: TapName, origin: TapOrigin = .domain, destination: DestinationReference, direction: TapDirection = .both,
        selectors: [InterfaceSelector] = [], filter: String? = nil, snaplen: Snaplen? = nil, sampling: Sampling? = nil,
        rate: RateLimit? = nil, required: Bool = false, enabled: Bool = true, once: Bool = false
    ) {
        self.name = name
        self.origin = origin
        self.destination = destination
        self.direction = direction
        self.selectors = selectors
        self.filter = filter
        self.snaplen = snaplen
        self.sampling = sampling
        self.rate = rate
        self.required = required
        self.enabled = enabled
        self.once = once
    }

    public func selects(_ interface: DomainInterface) -> Bool {
        selectors.isEmpty || selectors.contains { $0.matches(interface) }
    }
}

/// One `<tap>` of the metadata: valid, or invalid with the reason.
public enum TapEntry: Hashable, Sendable {
    case valid(Tap)
    /// `name` is the tap's name as far as it could be read. `required` is kept since a required tap that is invalid is not in place.
    case invalid(name: TapName, required: Bool, Failure)

    public var name: TapName {
        switch self {
        case .valid(let tap): tap.name
        case .invalid(let name, _, _): name
        }
    }

    public var isRequired: Bool {
        switch self {
        case .valid(let tap): tap.required && tap.enabled
        case .invalid(_, let required, _): required
        }
    }
}

/// Who asks for a tap.
public enum TapOrigin: String, CaseIterable, Codable, Sendable {
    /// The domain's own metadata.
    case domain
    /// The host's configuration, which selects domains.
    case host
}

/// Identifies one tap of one domain, independent of devices.
public struct TapKey: Hashable, Sendable {
    public var domain: DomainUUID
    public var origin: TapOrigin
    public var name: TapName

    public init(domain: DomainUUID, origin: TapOrigin, name: TapName) {
        self.domain = domain
        self.origin = origin
        self.name = name
    }
}

/// A direction of traffic, as the guest sees it and as in libvirt's `<bandwidth>`: the guest *receives* inbound and *sends* outbound. Which TC
/// hook that is depends on the device; `HookPoint` in Dataplane decides it.
public enum Direction: String, CaseIterable, Codable, Sendable {
    case inbound
    case outbound
}

/// The `direction` of a tap: one direction or both.
public enum TapDirection: String, CaseIterable, Codable, Sendable {
    case inbound
    case outbound
    case both

    public var directions: Set<Direction> {
        switch self {
        case .inbound: [.inbound]
        case .outbound: [.outbound]
        case .both: [.inbound, .outbound]
        }
    }
}

/// An `<interface>` child of a tap: all that it names must match one interface of the domain.
public struct InterfaceSelector: Hashable, Codable, Sendable {
    public var mac: MACAddress?
    /// libvirt's alias, `net0` or the user's own `ua-…`.
    public var alias: String?
    /// The bridge that `<source bridge>` names.
    public var bridge: String?
    /// The network that `<source network>` names.
    public var network: String?
    /// The name in `<target dev>`, which libvirt keeps in the definition; a later name of the device does not count.
    public var device: String?

    public init(mac: MACAddress? = nil, alias: String? = nil, bridge: String? = nil, network: String? = nil, device: String? = nil) {
        self.mac = mac
        self.alias = alias
        self.bridge = bridge
        self.network = network
        self.device = device
    }

    public func matches(_ interface: DomainInterface) -> Bool {
        (mac == nil || mac == interface.mac) && (alias == nil || alias == interface.alias)
            && (bridge == nil || bridge == interface.bridge) && (network == nil || network == interface.network)
            && (device == nil || device == interface.device)
    }

    /// Prefixes of the names that libvirt generates at each start. It drops a `<target dev>` with such a prefix from a definition.
    public static let generatedPrefixes = ["vnet", "vif", "macvtap", "macvlan"]

    /// Whether libvirt generates the device name.
    public static func isGenerated(_ device: String) -> Bool { generatedPrefixes.contains { device.hasPrefix($0) } }

    /// Whether libvirt may give an interface this alias: `net0`, `hostdev0`, or the user's own `ua-…`.
    public static func mayBeAlias(_ text: String) -> Bool {
        if text.hasPrefix("ua-") { return true }
        guard let prefix = ["net", "hostdev"].first(where: { text.hasPrefix($0) }) else { return false }
        let number = text.utf8.dropFirst(prefix.utf8.count)
        return !number.isEmpty && number.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
