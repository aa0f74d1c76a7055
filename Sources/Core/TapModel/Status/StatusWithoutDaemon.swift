// SPDX-License-Identifier: LGPL-2.1-or-later

extension StatusDocument {
    /// What can be said with no daemon: what the pins tell of what the kernel copies. What only libvirt or the
    /// configuration knows is `nil`.
    ///
    /// - Parameters:
    ///   - kernel: what was found pinned, with its counters and destinations.
    ///   - devices: the devices that there are now, to tell whether destinations are still there; `nil`: not known.
    public static func withoutDaemon(
        host: Host, configPath: String, hookInstalled: Bool, kernel: KernelView = KernelView(), devices: DeviceTable? = nil
    ) -> StatusDocument {
        StatusDocument(
            host: host, daemon: .down, hook: Hook(installed: hookInstalled, seen: nil),
            config: Config(path: configPath, loaded: nil, stale: false, message: nil), taps: pinnedTaps(kernel, devices: devices),
            destinations: pinnedDestinations(kernel, devices: devices))
    }

    /// The destinations in the kernel's map. Also for a daemon that has no configuration.
    public static func pinnedDestinations(_ kernel: KernelView, devices: DeviceTable?) -> [DestinationStatus] {
        let failures = destinationFailures(kernel, devices: devices)
        return kernel.destinations.map {
            DestinationStatus(
                name: $0.label, kind: $0.kind, device: device(of: $0, devices)?.name, failure: failures[$0.label] ?? nil, record: $0)
        }
    }

    /// The device that takes copies, of a monitor port the one that sensors know.
    private static func device(of record: DestinationRecord, _ devices: DeviceTable?) -> HostDevice? {
        guard let device = devices?[record.ifindex] else { return nil }
        return record.kind == .monitor ? devices?.listener(ofPort: device) ?? device : device
    }

    /// The taps of everything that is pinned. Also for a daemon that does not know those domains from libvirt (yet).
    public static func pinnedTaps(_ kernel: KernelView, devices: DeviceTable?) -> [TapStatus] {
        taps(kernel, destinations: destinationFailures(kernel, devices: devices), devices: devices)
    }

    private static func destinationFailures(_ kernel: KernelView, devices: DeviceTable?) -> [String: Failure?] {
        Dictionary(kernel.destinations.map { ($0.label, failure(of: $0, devices: devices)) }, uniquingKeysWith: { first, _ in first })
    }

    private static func taps(_ kernel: KernelView, destinations: [String: Failure?], devices: DeviceTable?) -> [TapStatus] {
        // Dead pins copy nothing any more; the next daemon collects them.
        let alive = kernel.attachments.values.filter { $0.spec != nil && !$0.isDead }.sorted { left, right in
            guard let a = left.spec, let b = right.spec else { return false }
            return (a.domainName, a.key.tap.text, left.id.text) < (b.domainName, b.key.tap.text, right.id.text)
        }
        var order: [TapKey] = []
        var groups: [TapKey: [ObservedAttachment]] = [:]
        for attachment in alive {
            guard let key = attachment.spec?.key else { continue }
            let tap = TapKey(domain: key.domain, origin: key.origin, name: key.tap)
            if groups[tap] == nil { order.append(tap) }
            groups[tap, default: []].append(attachment)
        }
        return order.compactMap { key in
            guard let attachments = groups[key], let spec = attachments.first?.spec else { return nil }
            var status = TapStatus(
                domain: spec.domainName, uuid: key.domain, name: key.name, origin: key.origin, definition: nil,
                destination: spec.options.destination, direction: spec.options.direction, required: nil, enabled: nil, state: .active,
                reason: nil,
                message: nil)
            let options = spec.options
            status.setChoice(
                filter: options.filter, snaplen: options.snaplen, sampling: options.sampling, rate: options.rate, once: options.once)
            status.interfaces = attachments.compactMap { interface($0, kernel.counters[$0.id] ?? [:], destinations, devices) }
            status.combine()
            return status
        }
    }

    private static func interface(
        _ attachment: ObservedAttachment, _ counters: [Direction: DirectionCounters], _ destinations: [String: Failure?],
        _ devices: DeviceTable?
    ) -> InterfaceStatus? {
        guard let spec = attachment.spec else { return nil }
        var status = InterfaceStatus(
            alias: spec.interface.alias, mac: spec.interface.mac, device: devices?[spec.key.ifindex]?.name ?? spec.interface.device,
            ifindex: spec.key.ifindex,
            type: spec.interface.type, state: .active)
        status.fill(from: attachment, counters: counters)
        let missing = spec.options.direction.directions.filter { direction in
            if case .attached? = attachment.hooks[direction] { false } else { true }
        }
        if !missing.isEmpty {
            let which = missing.map(\.rawValue).sorted().joined(separator: " and ")
            status.set(
                Failure(
                    .attachFailed, "\(which): somebody removed virt-tap's program from the device",
                    advice: "virt-tapd puts it back when it runs"))
        } else if let failure = destinations[spec.options.destination] ?? nil {
            status.set(failure)
        }
        return status
    }

    private static func failure(of record: DestinationRecord, devices: DeviceTable?) -> Failure? {
        guard record.ifindex != 0 else {
            return Failure(
                .destinationDown, "it had no device when virt-tapd last ran: copies are counted as errors",
                about: "destination \(record.label)")
        }
        guard let devices else { return nil }
        guard let device = devices[record.ifindex] else {
            return Failure(
                .destinationDown, "its device is gone", advice: "virt-tapd follows it when it runs",
                about: "destination \(record.label)")
        }
        guard device.isUp, device.hasCarrier else {
            let device = self.device(of: record, devices) ?? device
            return Failure(
                .destinationDown,
                "interface \(device.name) \(device.isUp ? "has no carrier" : "is down"): copies are counted as errors",
                about: "destination \(record.label)")
        }
        return nil
    }
}
