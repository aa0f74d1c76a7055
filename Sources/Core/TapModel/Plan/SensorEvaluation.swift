// SPDX-License-Identifier: LGPL-2.1-or-later

/// Finds the device through which copies get into a sensor VM of this host.
enum SensorEvaluation {
    /// - Parameters:
    ///   - name: the sensor's name, `uuid` its UUID; with both, both must match.
    ///   - mac: of the interface that takes the copies, `alias` its alias; with both, both must match. With neither, the only one that
    ///     the domain has.
    ///   - label: the destination's name.
    static func verdict(
        name: String?, uuid: DomainUUID?, mac: MACAddress?, alias: String?, label: String, host: HostState
    ) -> DestinationVerdict {
        let sensor = "the sensor VM \(name ?? uuid?.description ?? "")"
        func nowhere(_ reason: Reason, _ why: String) -> DestinationVerdict {
            DestinationVerdict(label: label, kind: .domain, ifindex: 0, failure: Failure(reason, "destination \(label): \(why)"))
        }
        let found = host.directory.find(name: name, uuid: uuid)
        guard let (sensorUUID, entry) = found.first(where: { $0.entry.interfaces != nil }) ?? found.first else {
            if let why = contradiction(sensor, name: name, uuid: uuid, host: host) { return nowhere(.destinationElsewhere, why) }
            // That it is in no list is no evidence: as long as its device is there, copies go on.
            let meant = uuid == nil ? name.flatMap(host.directory.nearest) : nil
            let failure =
                host.directory.isComplete
                ? Failure(
                    .destinationElsewhere,
                    "destination \(label): \(sensor) is not on this host; \(meant.map { "did you mean \($0)? If not, " } ?? "")"
                        + "bring it here, or send the copies by a tunnel (<vxlan>)")
                : Failure(
                    .libvirtDisconnected,
                    "destination \(label): whether \(sensor) runs on this host is known once libvirt has answered; until then copies go "
                        + "where they went")
            return DestinationVerdict(label: label, kind: .domain, ifindex: nil, failure: failure)
        }
        guard let interfaces = entry.interfaces else {
            if entry.hasMigratedAway {
                return nowhere(
                    .destinationElsewhere,
                    "\(sensor) has migrated to another host, and its copies stay here; bring it back, or send them by a tunnel (<vxlan>)")
            }
            return nowhere(.destinationDown, "\(sensor) does not run on this host; copying begins when it starts")
        }
        let chosen = interfaces.filter { (mac == nil || $0.mac == mac) && (alias == nil || $0.alias == alias) }
        guard chosen.count == 1, let interface = chosen.first else {
            if mac == nil, alias == nil {
                return nowhere(
                    .noMatchingInterface,
                    "\(sensor) has \(list(interfaces))"
                        + (interfaces.isEmpty
                            ? ", so copies cannot get into it; give it one"
                            : ": which of them takes the copies? write its mac=\"…\" or alias=\"…\" on the <domain>"))
            }
            let choice = [mac.map { "mac=\"\($0)\"" }, alias.map { "alias=\"\($0)\"" }].compactMap { $0 }.joined(separator: " ")
            return nowhere(.noMatchingInterface, "\(sensor) has \(list(interfaces)); \(choice) is not one of them")
        }
        let device: HostDevice
        switch DeviceOwnership.device(of: interface, in: sensorUUID, devices: host.devices, claims: host.claims, directory: host.directory)
        {
        case .failure(let failure):
            var verdict = nowhere(failure.reason, "\(sensor): \(failure.message)")
            // Under which name it is to be found by now is known when all domains are.
            if failure.reason == .deviceGone, !host.directory.isComplete { verdict.ifindex = nil }
            return verdict
        case .success(let owned): device = owned.device
        }
        // What goes to a macvtap device goes out at the adapter below it; into the guest goes what comes in by it.
        let isReceiving = device.kind == .macvtap
        var verdict = DestinationVerdict(
            label: label, kind: .domain, ifindex: device.index, failure: nil, isReceiving: isReceiving)
        if !device.isUp || !(device.hasCarrier || isReceiving) {
            verdict.failure = Failure(
                .destinationDown,
                "destination \(label): \(device.name) of \(sensor) \(device.isUp ? "has no carrier: QEMU does not hold it" : "is down")")
        }
        return verdict
    }

    /// Of name and UUID one is another domain's.
    private static func contradiction(_ sensor: String, name: String?, uuid: DomainUUID?, host: HostState) -> String? {
        guard let name, let uuid else { return nil }
        if let other = host.directory[uuid] {
            return "the domain with UUID \(uuid) is called \(other.name) here, not \(name); correct the configuration"
        }
        return host.directory.find(name: name, uuid: nil).first.map { other in
            "\(sensor) of this host has the UUID \(other.uuid), not \(uuid); correct the configuration if that is the one"
        }
    }

    private static func list(_ interfaces: [DomainInterface]) -> String {
        guard !interfaces.isEmpty else { return "no network interface" }
        let names = interfaces.prefix(8).map { [$0.alias, $0.mac?.description].compactMap { $0 }.joined(separator: " ") }
        return (names + (interfaces.count > 8 ? ["\(interfaces.count - 8) more"] : [])).joined(separator: ", ")
    }
}
