// SPDX-License-Identifier: LGPL-2.1-or-later

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
