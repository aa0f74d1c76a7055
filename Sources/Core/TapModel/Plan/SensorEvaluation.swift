// SPDX-License-Identifier: LGPL-2.1-or-later

/// Finds the device through which copies get into a sensor VM of this host.
enum SensorEvaluation {
    /// - Parameters:
    ///   - name: the sensor's name, `uuid` its UUID; with both, both must match.
    ///   - mac: the MAC address of the interface that takes the copies, `alias` its alias; with both, both must match. With neither, it is the
    ///     domain's only interface.
    ///   - label: the destination's name.
    static func verdict(
        name: String?, uuid: DomainUUID?, mac: MACAddress?, alias: String?, label: String, host: HostState
    ) -> DestinationVerdict {
        let sensor = "the sensor VM \(name ?? uuid?.description ?? "")"
        let subject = "destination \(label)"
        func nowhere(_ reason: Reason, _ why: String, advice: String? = nil) -> DestinationVerdict {
            DestinationVerdict(label: label, kind: .domain, device: .nowhere, failure: Failure(reason, why, advice: advice, about: subject))
        }
        let found = host.directory.find(name: name, uuid: uuid)
        guard let (sensorUUID, entry) = found.first(where: { $0.entry.interfaces != nil }) ?? found.first else {
            if let (why, advice) = contradiction(sensor, name: name, uuid: uuid, host: host) {
                return nowhere(.destinationElsewhere, why, advice: advice)
            }
            // A missing entry is no evidence that it has stopped: copies go on as long as its device is there.
            let meant = uuid == nil ? name.flatMap(host.directory.nearest) : nil
            let failure =
                host.directory.isComplete
                ? Failure(
                    .destinationElsewhere, "\(sensor) is not on this host",
                    advice: "\(meant.map { "did you mean \($0)? If not, " } ?? "")bring it here, or send the copies by a tunnel (<vxlan>)",
                    about: subject)
                : Failure(
                    .libvirtDisconnected,
                    "whether \(sensor) runs on this host is known once libvirt has answered; until then copies go where they went",
                    about: subject)
            return DestinationVerdict(label: label, kind: .domain, device: .unknown, failure: failure)
        }
        guard let interfaces = entry.interfaces else {
            if entry.hasMigratedAway {
                return nowhere(
                    .destinationElsewhere, "\(sensor) has migrated to another host, and its copies stay here",
                    advice: "bring it back, or send them by a tunnel (<vxlan>)")
            }
            return nowhere(.destinationDown, "\(sensor) does not run on this host", advice: "copying begins when it starts")
        }
        let chosen = interfaces.filter { (mac == nil || $0.mac == mac) && (alias == nil || $0.alias == alias) }
        guard chosen.count == 1, let interface = chosen.first else {
            if interfaces.isEmpty {
                return nowhere(.noMatchingInterface, "\(sensor) has no network interface for copies", advice: "give it one")
            }
            if mac == nil, alias == nil {
                return nowhere(
                    .noMatchingInterface, "\(sensor) has \(list(interfaces)), and the <domain> does not say which takes the copies",
                    advice: "add mac=\"…\" or alias=\"…\" to the <domain>")
            }
            let choice = [mac.map { "mac=\"\($0)\"" }, alias.map { "alias=\"\($0)\"" }].compactMap { $0 }.joined(separator: " ")
            return nowhere(.noMatchingInterface, "\(sensor) has \(list(interfaces)); \(choice) is not among them")
        }
        let device: HostDevice
        switch DeviceOwnership.device(of: interface, in: sensorUUID, devices: host.devices, claims: host.claims, directory: host.directory)
        {
        case .failure(let failure):
            var verdict = nowhere(failure.reason, "\(sensor): \(failure.detail)", advice: failure.advice)
            // The device may have another name by now, which is known when all domains are.
            if failure.reason == .deviceGone, !host.directory.isComplete { verdict.device = .unknown }
            return verdict
        case .success(let owned): device = owned.device
        }
        // What a macvtap device sends leaves by the adapter below it. To get into the guest, copies have to be received by it.
        let isReceiving = device.kind == .macvtap
        var verdict = DestinationVerdict(
            label: label, kind: .domain, device: .known(device.index), failure: nil, isReceiving: isReceiving)
        if !device.isUp || !(device.hasCarrier || isReceiving) {
            verdict.failure = Failure(
                .destinationDown, "\(device.name) of \(sensor) \(device.isUp ? "has no carrier: QEMU does not hold it" : "is down")",
                about: subject)
        }
        return verdict
    }

    /// What is wrong, and what to do, when name and UUID are of two domains.
    private static func contradiction(
        _ sensor: String, name: String?, uuid: DomainUUID?, host: HostState
    ) -> (detail: String, advice: String)? {
        guard let name, let uuid else { return nil }
        if let other = host.directory[uuid] {
            return ("the domain with UUID \(uuid) is called \(other.name) here, not \(name)", "correct the configuration")
        }
        return host.directory.find(name: name, uuid: nil).first.map { other in
            ("\(sensor) of this host has the UUID \(other.uuid), not \(uuid)", "correct the configuration if that is the one")
        }
    }

    private static func list(_ interfaces: [DomainInterface]) -> String {
        let names = interfaces.prefix(8).map { [$0.alias, $0.mac?.description].compactMap { $0 }.joined(separator: " ") }
        return (names + (interfaces.count > 8 ? ["\(interfaces.count - 8) more"] : [])).joined(separator: ", ")
    }
}
