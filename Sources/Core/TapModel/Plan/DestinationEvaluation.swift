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
                            "destination \(name) is not open to this domain: no <allow> of it in this host's configuration matches"))
                }
                return evaluate(definition, host: host)
            }
        case .inline(let target):
            return inline(target, label: reference.label, host: host)
        }
    }

    /// A destination of the configuration as it is now, whoever uses it.
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
        verdict.rate = definition.rate
        verdict.mtu = definition.resolvingMTU
        return .success(stopped(verdict, host: host))
    }

    /// The same, if the host's `<limit>` does not stop it.
    private static func stopped(_ verdict: DestinationVerdict, host: HostState) -> DestinationVerdict {
        guard let overload = host.overloads[verdict.label] else { return verdict }
        var verdict = verdict
        verdict.ifindex = 0
        verdict.failure = verdict.failure ?? overload
        return verdict
    }

    private static func inline(_ target: DestinationTarget, label: String, host: HostState) -> Result<DestinationVerdict, Failure> {
        guard case .tunnel(let tunnel) = target else {
            return .failure(
                Failure(
                    .inlineDestinationDenied,
                    "a destination of kind \(target.kind.rawValue) cannot stand in the metadata; define it in the host's configuration and name it with to="
                ))
        }
        guard let policy = host.configuration.policy.inline else {
            return .failure(
                Failure(
                    .inlineDestinationDenied,
                    "this host allows no inline destinations; define it in the host's configuration and name it with to="))
        }
        guard policy.kinds.contains(tunnel.kind) else {
            return .failure(Failure(.inlineDestinationDenied, "this host allows no inline destinations of kind \(tunnel.kind.rawValue)"))
        }
        // Which of the host's devices a guest's traffic leaves by is not for the guest's owner to say.
        if tunnel.device != nil {
            return .failure(
                Failure(
                    .inlineDestinationDenied,
                    "device= says how copies leave this host, which only its configuration may: leave it out, or define the destination there and name it with to="
                ))
        }
        guard let remote = IPAddress.bytes(tunnel.remote), policy.remotes.contains(where: { $0.contains(remote) }) else {
            return .failure(Failure(.inlineDestinationDenied, "this host's policy allows no inline destination at \(tunnel.remote)"))
        }
        return .success(stopped(TunnelEvaluation.verdict(tunnel, label: label, host: host), host: host))
    }

    private static func interface(_ name: String, allowShared: Bool, label: String, host: HostState) -> DestinationVerdict {
        func verdict(_ ifindex: UInt32, _ failure: Failure?) -> DestinationVerdict {
            DestinationVerdict(label: label, kind: .interface, ifindex: ifindex, failure: failure)
        }
        // Also while it is absent: it comes with the first tap that needs it.
        if HostDevice.isOurs(name) {
            return verdict(0, unsafe(.never(InterfaceSafety.isOwn), name, allowShared, label))
        }
        guard let device = host.devices.device(called: name) else {
            return verdict(
                0, Failure(.destinationDown, "destination \(label): interface \(name) does not exist; copying begins when it appears"))
        }
        let name = device.name == name ? name : "\(name) (\(device.name))"
        if let failure = unsafe(InterfaceSafety.verdict(on: device, host: host), name, allowShared, label) { return verdict(0, failure) }
        guard device.isUp else {
            return verdict(
                device.index,
                Failure(.destinationDown, "destination \(label): interface \(name) is down; `ip link set \(device.name) up` brings it back")
            )
        }
        guard device.hasCarrier else {
            return verdict(
                device.index,
                Failure(
                    .destinationDown,
                    "destination \(label): interface \(name) has no carrier: its other end is down, or nobody holds it open"))
        }
        var safe = verdict(device.index, nil)
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
                .destinationUnsafe,
                "destination \(label): \(name) \(why), so copies would reach more than a sensor; \(remedy), or allow-shared=\"yes\"")
        case .never(let why):
            return Failure(
                .destinationUnsafe,
                "destination \(label): \(name) \(why); \(remedy)" + (allowShared ? ": allow-shared=\"yes\" does not permit this" : ""))
        }
    }

    /// Whether a running domain has the device, so that copies which are sent to it would reach that guest.
    public static func isGuests(_ device: HostDevice, _ claims: DeviceClaims) -> Bool {
        !claims.others(than: nil, claiming: device).isEmpty
    }
}

/// Decides whether copies go into a monitor port of ours.
enum MonitorEvaluation {
    /// - Parameter name: of the device that sensors listen at.
    static func verdict(_ name: String, label: String, host: HostState) -> DestinationVerdict {
        func verdict(_ ifindex: UInt32, _ failure: Failure?) -> DestinationVerdict {
            var verdict = DestinationVerdict(label: label, kind: .monitor, ifindex: ifindex, failure: failure)
            // What it is called now, as far as that is known.
            let own = host.devices[ifindex]
            verdict.listener = (try? host.ports[name]?.get())?.listener ?? own.flatMap { host.devices.listener(ofPort: $0) }?.name ?? name
            return verdict
        }
        // Without what keeps copies from the host's own network none may get there.
        if case .failure(let failure)? = host.ports[name] {
            return verdict(0, Failure(failure.reason, "destination \(label): \(failure.message)"))
        }
        let known = try? host.ports[name]?.get()
        guard let own = known.map({ host.devices[$0.ifindex] }) ?? end(of: name, host) else {
            guard host.devices[name] == nil else {
                return verdict(
                    0,
                    Failure(
                        .destinationUnsafe,
                        "destination \(label): \(name) is there and is no monitor port of virt-tap's, which leaves it as it is; give the port "
                            + "another name"))
            }
            let why = host.isPaused ? "everything was purged; `systemctl reload virt-tapd` has it made again" : "virt-tapd makes it"
            return verdict(0, Failure(.destinationDown, "destination \(label): there is no monitor port \(name) yet: \(why)"))
        }
        guard own.isUp, own.hasCarrier else {
            let listener = verdict(own.index, nil).listener ?? name
            let why =
                host.devices[listener] == nil
                ? "\(name) is down in the network namespace that it was moved to; `ip link set \(name) up` there brings it back"
                : "\(listener) is down; `ip link set \(listener) up` brings it back"
            return verdict(own.index, Failure(.destinationDown, "destination \(label): \(why)"))
        }
        return verdict(own.index, nil)
    }

    /// Our end by its name, where virt-tapd has not said which device it is.
    private static func end(of name: String, _ host: HostState) -> HostDevice? {
        host.devices[MonitorPort.device(of: name)].flatMap { $0.isPaired ? $0 : nil }
    }
}
