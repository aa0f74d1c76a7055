// SPDX-License-Identifier: LGPL-2.1-or-later

/// What can be told from the pins alone, with no daemon to ask: the kernel goes on copying, so it is shown.
extension StatusDocument {
    /// The document that `status` shows while no daemon runs. What only libvirt or the configuration would know is null.
    public static func withoutDaemon(host: Host, hookInstalled: Bool, configPath: String, kernel: KernelView) -> StatusDocument {
        StatusDocument(
            host: host, daemon: .down, hook: Hook(installed: hookInstalled, seen: nil),
            config: Config(path: configPath, loaded: nil, stale: false, message: nil),
            taps: pinnedTaps(Array(kernel.attachments.values), kernel: kernel),
            destinations: kernel.destinations.sorted { $0.label < $1.label }.map { record in
                let failure = record.ifindex == 0 ? Failure(.destinationDown, "no device takes its copies at the moment") : nil
                return DestinationStatus(
                    name: record.label, kind: record.kind, state: failure == nil ? .active : .failed, reason: failure?.reason,
                    message: failure?.message, sent: record.sent, errors: record.errors)
            })
    }

    /// The taps that some attachments belong to, from their specs.
    public static func pinnedTaps(_ attachments: [ObservedAttachment], kernel: KernelView) -> [TapStatus] {
        let usable = Set(kernel.destinations.filter { $0.ifindex != 0 }.map(\.label))
        var taps: [String: TapStatus] = [:]
        for attachment in attachments.sorted(by: { $0.id.text < $1.id.text }) {
            guard let spec = attachment.spec else { continue }
            let key = "\(spec.key.domain) \(spec.key.origin.rawValue) \(spec.key.tap)"
            var tap =
                taps[key]
                ?? TapStatus(
                    domain: spec.domainName, uuid: spec.key.domain, name: spec.key.tap, origin: spec.key.origin, definition: nil,
                    destination: spec.wish.destination, direction: spec.wish.direction, required: nil, enabled: true, state: .active,
                    reason: nil,
                    message: nil)
            tap.interfaces.append(interface(attachment, spec, counters: kernel.counters[attachment.id] ?? [:], usable: usable))
            tap.combine()
            taps[key] = tap
        }
        return taps.values.sorted { ($0.domain, $0.uuid, $0.name) < ($1.domain, $1.uuid, $1.name) }
    }

    private static func interface(
        _ attachment: ObservedAttachment, _ spec: AttachmentSpec, counters: [Direction: DirectionCounters], usable: Set<String>
    ) -> InterfaceStatus {
        var status = InterfaceStatus(
            alias: spec.interface.alias, mac: spec.interface.mac, device: spec.interface.device, ifindex: spec.key.ifindex,
            type: spec.interface.type, state: .active)
        status.fill(from: attachment, counters: counters)
        if attachment.isDead {
            status.set(Failure(.deviceGone, "\(spec.interface.device) is gone; the next daemon removes what is left of the tap"))
        } else if attachment.hooks.values.contains(.detached) {
            status.set(
                Failure(.attachFailed, "somebody removed the tap's program from \(spec.interface.device); the next daemon puts it back"))
        } else if !usable.contains(spec.wish.destination) {
            status.set(Failure(.destinationDown, "destination \(spec.wish.destination): no device takes its copies at the moment"))
        }
        return status
    }
}
