// SPDX-License-Identifier: LGPL-2.1-or-later

/// One valid wish: copy this domain's traffic to that destination.
public struct Tap: Hashable, Codable, Sendable {
    /// Unique in the domain, per origin.
    public var name: TapName
    public var origin: TapOrigin
    public var destination: DestinationReference
    public var direction: TapDirection
    /// Any of these must match; empty: every interface, hot-plugged ones included.
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
