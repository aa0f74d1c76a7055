// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a destination is at one moment.
public struct DestinationVerdict: Hashable, Sendable {
    /// Its name in the configuration, or its label.
    public var label: String
    public var kind: DestinationTarget.Kind
    /// The device that takes the copies; 0: copies are not sent and are counted as errors; `nil`: not known, what the kernel was told
    /// last stands as long as that is a guest's device.
    public var ifindex: UInt32?
    /// Whether copies are handed to the device as if they had come in by it, and not to be sent by it.
    public var isReceiving: Bool
    /// Why copies do not arrive there; `nil`: as far as this host can see, they do.
    public var failure: Failure?
    /// Whether `failure` is what this host's routes say now.
    public var isOfRoute = false
    /// Upper limit of all copies to it.
    public var rate: RateLimit?

    /// What copies are wrapped in; `nil`: nothing.
    public var tunnel: TunnelHeader?
    /// `DestinationRoute.specificRoute`.
    public var specificRoute: SpecificRoute?
    /// What to know of the way to another machine, or of the interface, although copies are sent there.
    public var remark: TapStatus.Warning?
    /// Of a monitor port: the device at which sensors listen.
    public var listener: String?
    /// What fits on a device of this host: `DestinationRoute.mtu`.
    public var mtu: UInt32?

    /// Whether it is defined and allowed, and nothing is wrong with it but the moment. A sensor VM may be given the interface while it
    /// runs, or at its next start.
    public var isOnlyDown: Bool {
        if isOfRoute { return failure != nil }
        return switch failure?.reason {
        case nil: false
        case .noMatchingInterface, .interfaceTypeUnsupported, .deviceNotOwned: kind == .domain
        case .some(let reason): reason.isPassing
        }
    }

    public init(
        label: String, kind: DestinationTarget.Kind, ifindex: UInt32?, failure: Failure?, isReceiving: Bool = false,
        rate: RateLimit? = nil, tunnel: TunnelHeader? = nil, remark: TapStatus.Warning? = nil
    ) {
        self.label = label
        self.kind = kind
        self.ifindex = ifindex
        self.isReceiving = isReceiving
        self.failure = failure
        self.rate = rate
        self.tunnel = tunnel
        self.remark = remark
    }
}
