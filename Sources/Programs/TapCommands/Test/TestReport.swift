// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// Reports for people how far the test frames of one domain came.
struct TestReport {
    /// A test frame on a device, or an ICMP error about it.
    struct Observation: Hashable {
        var number: UInt16
        var device: String
        /// Whether the frame was handed to the device to be sent, or was received on it.
        var isSent: Bool
        var outerLength: Int
        var length: Int
        /// The ICMP error of another machine about the copy; `nil`: this is a copy.
        var refusal: IcmpRefusal?
    }

    /// The tested taps, as in the status document.
    var taps: [TapStatus]
    var destinations: [DestinationStatus]
    var results: [TestFrameResult]
    /// In the order of time.
    var observations: [Observation]
    /// The path of the configuration if it is invalid, so that virt-tapd does not use it.
    var staleConfiguration: String?
    /// Whether virt-tapd uses an earlier configuration instead.
    var hasFormerConfiguration = true
    /// How many frames each device dropped during the test, including frames of other traffic.
    var drops: [String: UInt64] = [:]

    /// Whether every frame of every tap arrived or left the host.
    var isGood: Bool {
        !results.isEmpty && results.allSatisfy(hasArrived) && taps.allSatisfy { tap in results.contains { $0.belongs(to: tap) } }
    }

    /// Whether the frame appeared at its destination, and the device there dropped no frame.
    func hasArrived(_ result: TestFrameResult) -> Bool {
        result.outcome?.fate == .copied && arrival(of: result) != nil && dropping(for: result) == nil && loss(of: result) == nil
    }

    /// The ICMP error of a router that could not forward the frame.
    private func loss(of result: TestFrameResult) -> IcmpRefusal? {
        observations.lazy.filter { $0.number == result.number }.compactMap(\.refusal).first { !$0.isReceivers }
    }

    /// The sensor VM's device if it dropped frames during the test: this one may be among them.
    private func dropping(for result: TestFrameResult) -> (device: String, count: UInt64)? {
        guard let device = tap(of: result).flatMap(destination)?.device, let count = drops[device], count > 0 else { return nil }
        return (device, count)
    }

    private func destination(of tap: TapStatus) -> DestinationStatus? {
        destinations.first { $0.name == tap.destination }
    }

    private func tap(of result: TestFrameResult) -> TapStatus? { taps.first { result.belongs(to: $0) } }

    /// The last observation of the frame at its destination's device or behind it.
    private func arrival(of result: TestFrameResult) -> Observation? {
        guard let destination = tap(of: result).flatMap(destination), let device = destination.device else { return nil }
        let own = observations.filter { $0.number == result.number && $0.refusal == nil }
        let atDevice = own.filter { observation in
            // If the other end of a port is in another network namespace, only this end is observed.
            if destination.kind == .monitor, observation.device == MonitorPort.device(of: device) { return observation.isSent }
            guard observation.device == device else { return false }
            switch destination.kind {
            case .interface: return observation.isSent
            case .monitor: return !observation.isSent
            // The guest of a macvtap device gets what the device receives.
            case .domain: return true
            case .vxlan, .geneve, .gre, .erspan: return observation.isSent && observation.outerLength > 0
            }
        }
        guard let first = atDevice.first, let index = own.firstIndex(of: first) else { return nil }
        return own[index...].last
    }

    // MARK: - Text

    /// The lines of the report, without newlines.
    var lines: [String] {
        var lines = [
            staleConfiguration.map {
                "\($0.printable) is invalid: "
                    + (hasFormerConfiguration ? "the configuration before it is tested" : "only the taps in the kernel are tested")
                    + "; see `virt-tap status`"
            }
        ]
        .compactMap { $0 }
        for tap in taps {
            let own = results.filter { $0.belongs(to: tap) }
            guard !own.isEmpty else {
                lines += nothingSent(tap)
                continue
            }
            for result in own { lines += self.lines(of: result, tap) }
        }
        guard !results.isEmpty else {
            return lines + ["no test frame was sent: only an attached tap can be tested; see `virt-tap status` and `virt-tap doctor`"]
        }
        let arrived = results.count(where: hasArrived)
        lines.append("\(arrived) of \(results.count) test frame\(results.count == 1 ? "" : "s") arrived or left the host")
        if arrived > 0, taps.contains(where: { destination(of: $0)?.kind == .domain }) {
            lines.append(
                "In the sensor VM, `ip link set DEVICE promisc on` makes it receive frames for other MAC addresses."
            )
        }
        return lines
    }

    /// Why no test frame was sent for a tap.
    private func nothingSent(_ tap: TapStatus) -> [String] {
        let head = "tap \(tap.name): nothing was sent: "
        // The tap was attached or detached during the test.
        guard tap.state != .active else { return [head + "it was not attached a moment ago, and is active now: try again"] }
        let reason = tap.reason.map { " (\($0.rawValue))" } ?? ""
        let interfaces = tap.interfaces.filter { $0.state != .active }
        guard tap.interfaces.count > 1, !interfaces.isEmpty else {
            let message = tap.interfaces.first?.explanation ?? tap.message
            return [head + "it is \(tap.state.rawValue)\(reason)\(message.map { ": \($0.printable)" } ?? "")"]
        }
        // Interfaces with the same text share one line.
        var order: [String] = []
        var names: [String: [String]] = [:]
        for interface in interfaces {
            let why = interface.explanation?.printable ?? "no reason given"
            let what = "\(interface.state.rawValue)\(interface.reason.map { " (\($0.rawValue))" } ?? ""): \(why)"
            if names[what] == nil { order.append(what) }
            let name = interface.alias ?? interface.device ?? interface.mac?.description ?? "an interface"
            names[what, default: []].append(name.printable)
        }
        return [head + "it is \(tap.state.rawValue)\(reason)"] + order.map { "  \(names[$0, default: []].joined(separator: ", ")): \($0)" }
    }

    private func lines(of result: TestFrameResult, _ tap: TapStatus) -> [String] {
        let interface = tap.interfaces.first { $0.device == result.device }
        let counters = result.direction == .inbound ? interface?.inbound : interface?.outbound
        var steps: [(label: String, text: String)] = []
        if let outcome = result.outcome {
            let mechanism = interface?.mechanism.map { "\($0.rawValue)" } ?? "hook"
            let position = interface?.position.map {
                $0 == 0 ? ", first in the chain" : ", number \($0 + 1) in the chain"
            }
            steps.append((result.device, "\(mechanism)\(position ?? ""); copied so far: \(counters?.copied.packets ?? 0)"))
            if let choice = outcome.leftOutBy {
                steps.append(("choice", "its \(choice.rawValue) does not match the test frame, so the test ignores it"))
            }
            steps.append(("copy", fate(outcome.fate, tap)))
        } else {
            steps.append((result.device, result.message?.printable ?? "nothing was sent"))
        }
        for observation in observations where observation.number == result.number {
            if let refusal = observation.refusal {
                let meaning =
                    refusal.isReceivers
                    ? "It has no receiver for such packets; a sensor there that captures still sees them"
                    : "The packet does not get there"
                steps.append((observation.device, "\(refusal.sender.printable) answers by ICMP: \(refusal.what). \(meaning)"))
                continue
            }
            let outer = observation.outerLength > 0 ? ", \(observation.outerLength) of them outer headers" : ""
            steps.append((observation.device, "\(observation.isSent ? "sent" : "came in"): \(observation.length) bytes\(outer)"))
        }
        if let destination = destination(of: tap) {
            steps.append((destination.name, "destination; sent so far: \(destination.sent.packets), errors: \(destination.errors.packets)"))
        }
        let width = steps.map { DisplayWidth.of($0.label) }.max() ?? 0
        let direction = result.direction.rawValue
        let title = "tap \(tap.name) to \(tap.destination?.printable ?? ""), \(result.alias?.printable ?? result.device) \(direction):"
        return [title]
            + steps.map { "  \($0.label)\(String(repeating: " ", count: width - DisplayWidth.of($0.label)))  \($0.text)" }
            + ["  \(conclusion(of: result, tap))"]
    }

    private func fate(_ fate: TestFrameOutcome.Fate, _ tap: TapStatus) -> String {
        switch fate {
        case .copied: return "made"
        case .rateLimited: return "not made: over the destination's rate"
        case .errors:
            guard let destination = destination(of: tap), let why = destination.explanation, destination.device == nil else {
                return "not made: the destination's device or virt-tap's relay did not accept it"
            }
            return "not made: " + why.printable
        }
    }

    private func conclusion(of result: TestFrameResult, _ tap: TapStatus) -> String {
        let destination = destination(of: tap)
        if arrival(of: result) != nil, let (device, count) = dropping(for: result) {
            return
                "MAY NOT HAVE ARRIVED: \(device) dropped \(count) frame\(count == 1 ? "" : "s") during the test: the sensor does not read fast enough"
        }
        if let loss = loss(of: result) { return "DID NOT ARRIVE: \(loss.sender.printable) answers by ICMP: \(loss.what)" }
        guard hasArrived(result), let arrival = arrival(of: result) else {
            let why =
                destination?.message.map { ": \($0.printable)" }
                ?? (result.outcome?.fate == .copied
                    ? destination?.device.map {
                        ": it did not appear on \($0); another program or qdisc there may have dropped it (`tc -s qdisc show dev \($0)`)"
                    } : nil) ?? ""
            return "DID NOT ARRIVE\(why)"
        }
        switch destination?.kind {
        // The other end, in another namespace or of a cable, is not observed.
        case .interface?: return arrival.isSent ? "left by \(arrival.device)" : "arrived at \(arrival.device)"
        case .monitor?:
            return arrival.isSent ? "left by \(arrival.device) for the monitor port" : "arrived at \(arrival.device)"
        case .domain?: return "went into the sensor VM by \(arrival.device)"
        default: return "left the host by \(arrival.device)"
        }
    }
}

extension TestFrameResult {
    fileprivate func belongs(to status: TapStatus) -> Bool { status.name == tap && status.origin == origin }
}
