// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// What became of the test frames of one domain, for people.
struct TestReport {
    /// A frame that was seen on a device.
    struct Sighting: Hashable {
        var number: UInt16
        var device: String
        /// Handed to the device to be sent; else it came in by it.
        var isSent: Bool
        var outerLength: Int
        var length: Int
        /// That it is a machine's answer to the copy, and no copy.
        var refusal: IcmpRefusal?
    }

    /// Taps of the domain as status has them, those that are tested.
    var taps: [TapStatus]
    var destinations: [DestinationStatus]
    var trials: [TestFrameResult]
    /// In the order of seeing.
    var sightings: [Sighting]
    /// The configuration's path when it is not the one in force, since it could not be loaded.
    var staleConfiguration: String?
    /// Whether one was in force before it.
    var hasFormerConfiguration = true
    /// How many frames each device did not take while the test ran, its own traffic's included.
    var drops: [String: UInt64] = [:]

    /// Whether every frame of every tap arrived or left the host.
    var isGood: Bool {
        !trials.isEmpty && trials.allSatisfy(hasArrived) && taps.allSatisfy { tap in trials.contains { $0.belongs(to: tap) } }
    }

    /// Whether a frame was seen where its tap sends copies, and the device there dropped none.
    func hasArrived(_ trial: TestFrameResult) -> Bool {
        trial.outcome?.fate == .copied && arrival(of: trial) != nil && dropping(for: trial) == nil && loss(of: trial) == nil
    }

    /// A machine on the way said that the frame gets no further.
    private func loss(of trial: TestFrameResult) -> IcmpRefusal? {
        sightings.lazy.filter { $0.number == trial.number }.compactMap(\.refusal).first { !$0.isReceivers }
    }

    /// A sensor VM's device that dropped frames meanwhile: this one may have been among them.
    private func dropping(for trial: TestFrameResult) -> (device: String, count: UInt64)? {
        guard let device = tap(of: trial).flatMap(destination)?.device, let count = drops[device], count > 0 else { return nil }
        return (device, count)
    }

    private func destination(of tap: TapStatus) -> DestinationStatus? {
        destinations.first { $0.name == tap.destination }
    }

    private func tap(of trial: TestFrameResult) -> TapStatus? { taps.first { trial.belongs(to: $0) } }

    /// The last that was seen of it, at its destination's device or behind that.
    private func arrival(of trial: TestFrameResult) -> Sighting? {
        guard let destination = tap(of: trial).flatMap(destination), let device = destination.device else { return nil }
        let own = sightings.filter { $0.number == trial.number && $0.refusal == nil }
        let atDevice = own.filter { sighting in
            // Of a port whose other end is in another network namespace only this end is seen.
            if destination.kind == .monitor, sighting.device == MonitorPort.device(of: device) { return sighting.isSent }
            guard sighting.device == device else { return false }
            switch destination.kind {
            case .interface: return sighting.isSent
            case .monitor: return !sighting.isSent
            // A macvtap's guest gets what comes in by it.
            case .domain: return true
            case .vxlan, .geneve, .gre, .erspan: return sighting.isSent && sighting.outerLength > 0
            }
        }
        guard let first = atDevice.first, let place = own.firstIndex(of: first) else { return nil }
        return own[place...].last
    }

    // MARK: - Text

    /// The lines, without newlines.
    var lines: [String] {
        var lines = [
            staleConfiguration.map {
                "\($0.printable) could not be loaded, "
                    + (hasFormerConfiguration
                        ? "the configuration before it is tested" : "and none was in force before it: what is in the kernel is tested")
                    + ": see `virt-tap status`"
            }
        ]
        .compactMap { $0 }
        for tap in taps {
            let own = trials.filter { $0.belongs(to: tap) }
            guard !own.isEmpty else {
                lines += nothingSent(tap)
                continue
            }
            for trial in own { lines += self.lines(of: trial, tap) }
        }
        guard !trials.isEmpty else {
            return lines + ["no test frame was sent: only a tap that is attached has a path to test (`virt-tap status`, `virt-tap doctor`)"]
        }
        let arrived = trials.count(where: hasArrived)
        lines.append("\(arrived) of \(trials.count) test frame\(trials.count == 1 ? "" : "s") arrived or left the host")
        if arrived > 0, taps.contains(where: { destination(of: $0)?.kind == .domain }) {
            lines.append(
                "Whether a sensor VM takes frames for other MAC addresses is its guest's own setting: `ip link set DEVICE promisc on` there."
            )
        }
        return lines
    }

    /// What is wrong with a tap of which no program could be given a frame.
    private func nothingSent(_ tap: TapStatus) -> [String] {
        let head = "tap \(tap.name): nothing was sent, since "
        // It was attached, or fell off, while the frames were on their way.
        guard tap.state != .active else { return [head + "it was not attached then; it is active now: try again"] }
        let reason = tap.reason.map { " (\($0.rawValue))" } ?? ""
        let interfaces = tap.interfaces.filter { $0.state != .active }
        guard tap.interfaces.count > 1, !interfaces.isEmpty else {
            let message = tap.interfaces.first?.explanation ?? tap.message
            return [head + "it is \(tap.state.rawValue)\(reason)\(message.map { ": \($0.printable)" } ?? "")"]
        }
        // What is the same of several is said once.
        var order: [String] = []
        var names: [String: [String]] = [:]
        for interface in interfaces {
            let why = interface.explanation?.printable ?? "no reason is known"
            let what = "\(interface.state.rawValue)\(interface.reason.map { " (\($0.rawValue))" } ?? ""): \(why)"
            if names[what] == nil { order.append(what) }
            let name = interface.alias ?? interface.device ?? interface.mac?.description ?? "an interface"
            names[what, default: []].append(name.printable)
        }
        return [head + "it is \(tap.state.rawValue)\(reason)"] + order.map { "  \(names[$0, default: []].joined(separator: ", ")): \($0)" }
    }

    private func lines(of trial: TestFrameResult, _ tap: TapStatus) -> [String] {
        let interface = tap.interfaces.first { $0.device == trial.device }
        let counters = trial.direction == .inbound ? interface?.inbound : interface?.outbound
        var steps: [(place: String, what: String)] = []
        if let outcome = trial.outcome {
            let place = interface?.mechanism.map { "\($0.rawValue)" } ?? "hook"
            let position = interface?.position.map {
                $0 == 0 ? ", first in the chain" : ", number \($0 + 1) in the chain"
            }
            steps.append((trial.device, "\(place)\(position ?? ""); copied so far: \(counters?.copied.packets ?? 0)"))
            if let choice = outcome.leftOutBy {
                steps.append(("choice", "its \(choice.rawValue) leaves the test frame out, which was sent past it"))
            }
            steps.append(("copy", fate(outcome.fate, tap)))
        } else {
            steps.append((trial.device, trial.message?.printable ?? "nothing was sent"))
        }
        for sighting in sightings where sighting.number == trial.number {
            if let refusal = sighting.refusal {
                let meaning =
                    refusal.isReceivers
                    ? "It takes no such packets; a sensor there that only captures may" : "The packet gets no further"
                steps.append((sighting.device, "\(refusal.sender.printable) answers by ICMP: \(refusal.what). \(meaning)"))
                continue
            }
            let outer = sighting.outerLength > 0 ? ", \(sighting.outerLength) of them outer headers" : ""
            steps.append((sighting.device, "\(sighting.isSent ? "sent" : "came in"): \(sighting.length) bytes\(outer)"))
        }
        if let destination = destination(of: tap) {
            steps.append((destination.name, "destination; sent so far: \(destination.sent.packets), errors: \(destination.errors.packets)"))
        }
        let width = steps.map { DisplayWidth.of($0.place) }.max() ?? 0
        let direction = trial.direction.rawValue
        let title = "tap \(tap.name) to \(tap.destination?.printable ?? ""), \(trial.alias?.printable ?? trial.device) \(direction):"
        return [title]
            + steps.map { "  \($0.place)\(String(repeating: " ", count: width - DisplayWidth.of($0.place)))  \($0.what)" }
            + ["  \(conclusion(of: trial, tap))"]
    }

    private func fate(_ fate: TestFrameOutcome.Fate, _ tap: TapStatus) -> String {
        switch fate {
        case .copied: return "made"
        case .rateLimited: return "not made: the destination's rate is used up"
        case .errors:
            guard let destination = destination(of: tap), let why = destination.explanation, destination.device == nil else {
                return "not made: the destination's device, or virt-tap's own on which copies are cut and wrapped, did not take it"
            }
            return "not made: " + why.printable
        }
    }

    private func conclusion(of trial: TestFrameResult, _ tap: TapStatus) -> String {
        let destination = destination(of: tap)
        if arrival(of: trial) != nil, let (device, count) = dropping(for: trial) {
            return "MAY NOT HAVE ARRIVED: \(device) dropped \(count) frame\(count == 1 ? "" : "s") meanwhile: the sensor does not take them"
        }
        if let loss = loss(of: trial) { return "DID NOT ARRIVE: \(loss.sender.printable) answers that it is \(loss.what)" }
        guard hasArrived(trial), let arrival = arrival(of: trial) else {
            let why =
                destination?.message.map { ": \($0.printable)" }
                ?? (trial.outcome?.fate == .copied
                    ? destination?.device.map {
                        ": \($0) was not seen to take it; another program or qdisc there may have (`tc -s qdisc show dev \($0)`)"
                    } : nil) ?? ""
            return "DID NOT ARRIVE\(why)"
        }
        switch destination?.kind {
        // What is behind it, in another namespace or at the other end of a cable, is not seen.
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
