// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a destination is at one moment.
public struct DestinationVerdict: Hashable, Sendable {
    /// The device that takes the copies.
    public enum Device: Hashable, Sendable {
        /// The device with this ifindex.
        case known(UInt32)
        /// There is none: copies are not sent and are counted as errors.
        case nowhere
        /// It is not known at the moment: copies go on to where they went, as long as that is a guest's device.
        case unknown
    }

    /// The destination's name in the configuration, or its label.
    public var label: String
    /// How copies get there, for the kernel. It has no device unless `device` is `known`.
    public var route: DestinationRoute
    /// Why copies do not arrive there; `nil`: as far as this host can see, they do.
    public var failure: Failure?
    /// Whether `failure` comes from this host's routes, so that another route may end it.
    public var isFromRoutes = false
    /// What to know about the route to another machine, or about the interface, although copies are sent there.
    public var remark: TapStatus.Warning?
    /// Only for a monitor port: the name of the device at which sensors listen.
    public var listener: String?
    private var isDeviceUnknown = false

    /// Where copies go.
    public var kind: DestinationTarget.Kind { route.kind }

    /// The device that takes the copies.
    public var device: Device {
        get { isDeviceUnknown ? .unknown : route.ifindex == 0 ? .nowhere : .known(route.ifindex) }
        set {
            isDeviceUnknown = newValue == .unknown
            route.ifindex = if case .known(let ifindex) = newValue { ifindex } else { 0 }
        }
    }

    /// Whether it is defined and allowed, and only down at the moment. A sensor VM may get the interface while it runs, or at its next
    /// start.
    public var isOnlyDown: Bool {
        if isFromRoutes { return failure != nil }
        return switch failure?.reason {
        case nil: false
        case .noMatchingInterface, .interfaceTypeUnsupported, .deviceNotOwned: kind == .domain
        case .some(let reason): reason.allowsSet
        }
    }

    /// The route on which copies go on while the device is unknown.
    /// - Parameter last: the device that copies went to; `nil`: there was none, or it has gone.
    public func route(keeping last: HostDevice?) -> DestinationRoute {
        var route = route
        guard let last, last.kind == .tap || last.kind == .macvtap else { return route }
        (route.ifindex, route.isReceiving) = (last.index, last.kind == .macvtap)
        return route
    }

    public init(
        label: String, kind: DestinationTarget.Kind, device: Device, failure: Failure?, isReceiving: Bool = false,
        tunnel: TunnelHeader? = nil, remark: TapStatus.Warning? = nil
    ) {
        self.label = label
        route = DestinationRoute(kind: kind, ifindex: 0, isReceiving: isReceiving, tunnel: tunnel)
        self.failure = failure
        self.remark = remark
        self.device = device
    }
}

/// Decides where a destination's copies go now, and whether a domain may send copies there.
public enum DestinationEvaluation {
    /// The destination that `reference` means for `domain`.
    ///
    /// - Returns: a failure when there is nothing that copies could be sent to, or the host forbids it: then nothing is
    ///   attached. A destination that is only absent, down or unsafe at the moment is a success with a failure inside:
    ///   the tap stays attached and one map update brings it back.
    public static func resolve(
        _ reference: DestinationReference, for domain: DomainDefinition, host: HostState
    ) -> Result<DestinationVerdict, Failure> {
        switch reference {
        case .named(let name):
            return host.configuration.destination(named: name).flatMap { definition in
                guard definition.allows(domain) else {
                    return .failure(
                        Failure(
                            .destinationNotAllowed,
                            "destination \(name) is not open to this domain: none of its <allow> in this host's configuration matches"))
                }
                return evaluate(definition, host: host)
            }
        case .inline(let target):
            return inline(target, label: reference.label, host: host)
        }
    }

    /// The present verdict on a destination of the configuration, independent of who uses it.
    public static func evaluate(_ definition: DestinationDefinition, host: HostState) -> Result<DestinationVerdict, Failure> {
        let label = definition.name.text
        var verdict: DestinationVerdict
        switch definition.target {
        case .interface(let name, let allowShared):
            verdict = interface(name, allowShared: allowShared, label: label, host: host)
        case .monitor(let name):
            verdict = MonitorEvaluation.verdict(name, label: label, host: host)
        case .domain(let name, let uuid, let mac, let alias):
            verdict = SensorEvaluation.verdict(name: name, uuid: uuid, mac: mac, alias: alias, label: label, host: host)
        case .tunnel(let tunnel):
            verdict = TunnelEvaluation.verdict(tunnel, label: label, mtu: definition.mtu, host: host)
        }
        verdict.route.rate = definition.rate
        verdict.route.mtu = definition.resolvingMTU
        return .success(stopped(verdict, host: host))
    }

    /// The verdict, or without a device where the host's `<limit>` stops the destination.
    private static func stopped(_ verdict: DestinationVerdict, host: HostState) -> DestinationVerdict {
        guard let overload = host.overloads[verdict.label] else { return verdict }
        var verdict = verdict
        verdict.device = .nowhere
        verdict.failure = verdict.failure ?? overload
        return verdict
    }

    private static func inline(_ target: DestinationTarget, label: String, host: HostState) -> Result<DestinationVerdict, Failure> {
        guard case .tunnel(let tunnel) = target else {
            return .failure(
                Failure(
                    .inlineDestinationDenied,
                    "a destination of kind \(target.kind.rawValue) is not possible in the metadata",
                    advice: "define it in the host's configuration and name it with to="))
        }
        guard let policy = host.configuration.policy.inline else {
            return .failure(
                Failure(
                    .inlineDestinationDenied,
                    "this host allows no inline destinations", advice: "define it in the host's configuration and name it with to="))
        }
        guard policy.kinds.contains(tunnel.kind) else {
            return .failure(Failure(.inlineDestinationDenied, "this host allows no inline destinations of kind \(tunnel.kind.rawValue)"))
        }
        // Which of the host's devices a guest's traffic leaves by is not for the guest's owner to say.
        if tunnel.device != nil {
            return .failure(
                Failure(
                    .inlineDestinationDenied,
                    "device= says how copies leave this host, which only its configuration may",
                    advice: "leave it out, or define the destination there and name it with to="))
        }
        guard let remote = IPAddress.bytes(tunnel.remote), policy.remotes.contains(where: { $0.contains(remote) }) else {
            return .failure(Failure(.inlineDestinationDenied, "this host's policy allows no inline destination at \(tunnel.remote)"))
        }
        return .success(stopped(TunnelEvaluation.verdict(tunnel, label: label, host: host), host: host))
    }

    private static func interface(_ name: String, allowShared: Bool, label: String, host: HostState) -> DestinationVerdict {
        func verdict(_ device: DestinationVerdict.Device, _ failure: Failure?) -> DestinationVerdict {
            DestinationVerdict(label: label, kind: .interface, device: device, failure: failure)
        }
        // The device may be absent: virt-tap makes its own when the first tap needs them.
        if HostDevice.isOurs(name) {
            return verdict(.nowhere, unsafe(.never(InterfaceSafety.isOwn), name, allowShared, label))
        }
        guard let device = host.devices.device(called: name) else {
            return verdict(
                .nowhere,
                Failure(
                    .destinationDown, "interface \(name) does not exist", advice: "copying begins when it appears",
                    about: "destination \(label)"))
        }
        let name = device.name == name ? name : "\(name) (\(device.name))"
        if let failure = unsafe(InterfaceSafety.verdict(on: device, host: host), name, allowShared, label) {
            return verdict(.nowhere, failure)
        }
        guard device.isUp else {
            return verdict(
                .known(device.index),
                Failure(
                    .destinationDown, "interface \(name) is down", advice: "`ip link set \(device.name) up` brings it back",
                    about: "destination \(label)"))
        }
        guard device.hasCarrier else {
            return verdict(
                .known(device.index),
                Failure(
                    .destinationDown, "interface \(name) has no carrier: its other end is down, or nobody holds it open",
                    about: "destination \(label)"))
        }
        var safe = verdict(.known(device.index), nil)
        safe.remark = InterfaceSafety.remark(on: device, host: host)
        return safe
    }

    /// Why no copies are sent to an interface; `nil`: they are.
    private static func unsafe(_ verdict: InterfaceSafety.Verdict, _ name: String, _ allowShared: Bool, _ label: String) -> Failure? {
        let remedy = "use a device that the sensor has for copies alone"
        switch verdict {
        case .safe: return nil
        case .shared(let why):
            guard !allowShared else { return nil }
            return Failure(
                .destinationUnsafe, "\(name) \(why), so copies would reach more than a sensor",
                advice: "\(remedy), or allow-shared=\"yes\"", about: "destination \(label)")
        case .never(let why):
            return Failure(
                .destinationUnsafe, "\(name) \(why)",
                advice: remedy + (allowShared ? ": allow-shared=\"yes\" does not permit this" : ""), about: "destination \(label)")
        }
    }

    /// Whether a device is a running domain's, so that copies sent to it would reach that guest.
    public static func isGuests(_ device: HostDevice, _ claims: DeviceClaims) -> Bool {
        !claims.others(than: nil, claiming: device).isEmpty
    }
}

/// Decides whether copies go into a monitor port.
enum MonitorEvaluation {
    /// - Parameter name: the device at which sensors listen.
    static func verdict(_ name: String, label: String, host: HostState) -> DestinationVerdict {
        func verdict(_ own: HostDevice?, _ failure: Failure?) -> DestinationVerdict {
            var verdict = DestinationVerdict(
                label: label, kind: .monitor, device: own.map { .known($0.index) } ?? .nowhere, failure: failure)
            // Somebody may have renamed it.
            verdict.listener = (try? host.ports[name]?.get())?.listener ?? own.flatMap { host.devices.listener(ofPort: $0) }?.name ?? name
            return verdict
        }
        // Nothing may be sent there while the programs that keep copies from the host's own network are not in place.
        if case .failure(let failure)? = host.ports[name] { return verdict(nil, failure.about("destination \(label)")) }
        let known = try? host.ports[name]?.get()
        guard let own = known.map({ host.devices[$0.ifindex] }) ?? end(of: name, host) else {
            guard host.devices[name] == nil else {
                return verdict(
                    nil,
                    Failure(
                        .destinationUnsafe, "a device \(name) exists that is not a monitor port of virt-tap, which leaves it as it is",
                        advice: "give the port another name", about: "destination \(label)"))
            }
            let why = host.isPaused ? "everything was purged; `systemctl reload virt-tapd` has it made again" : "virt-tapd makes it"
            return verdict(
                nil, Failure(.destinationDown, "there is no monitor port \(name) yet: \(why)", about: "destination \(label)"))
        }
        guard own.isUp, own.hasCarrier else {
            let listener = verdict(own, nil).listener ?? name
            let (why, advice) =
                host.devices[listener] == nil
                ? (
                    "\(name) is down in the network namespace that it was moved to", "`ip link set \(name) up` there brings it back"
                ) : ("\(listener) is down", "`ip link set \(listener) up` brings it back")
            return verdict(own, Failure(.destinationDown, why, advice: advice, about: "destination \(label)"))
        }
        return verdict(own, nil)
    }

    /// Our end, found by its name, as long as virt-tapd has not said which device it is.
    private static func end(of name: String, _ host: HostState) -> HostDevice? {
        host.devices[MonitorPort.device(of: name)].flatMap { $0.isPaired ? $0 : nil }
    }
}
