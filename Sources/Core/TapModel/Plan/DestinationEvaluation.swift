// SPDX-License-Identifier: LGPL-2.1-or-later

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
