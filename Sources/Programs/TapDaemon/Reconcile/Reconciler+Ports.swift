// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// The monitor ports of the configuration.
extension Reconciler {
    /// Makes those that are missing and brings the others in order.
    /// - Parameter isComplete: removes those that the configuration no longer names, too.
    /// - Returns: whether one is not what it was.
    @discardableResult
    func keepPorts(isComplete: Bool) -> Bool {
        // Without a configuration what there is stays: nobody knows what this host wants.
        guard configuration.missing == nil, !isPaused else { return false }
        let names = configuration.value.destinations.compactMap { definition -> String? in
            if case .monitor(let name) = definition.target { name } else { nil }
        }
        let before = ports
        if isComplete { removePorts(but: Set(names)) }
        guard !names.isEmpty || !before.isEmpty else { return false }
        let marks = copyMarks
        var found: [String: Result<MonitorPort, Failure>] = [:]
        var hasChanged = false
        for name in names {
            guard isComplete || isPortDue(name) else {
                found[name] = before[name]
                continue
            }
            let known = try? before[name]?.get()
            do throws(Failure) {
                let wasGone = try requireNoFight(name, before: before[name])
                var port = try keep(name, marks, known)
                if case .made = port.change, known != nil, !wasGone {
                    // It was removed after the devices were read.
                    portRemovals.removed(name, at: clock.monotonic())
                    portRemovals.restored(name, at: clock.monotonic())
                }
                if case .guarded = port.change {
                    portGuards.removed(name, at: clock.monotonic())
                    portGuards.restored(name, at: clock.monotonic())
                }
                tell(name, port, before: before[name])
                hasChanged = hasChanged || port.change != nil
                port.change = nil
                found[name] = .success(port)
            } catch {
                if case .failure(error)? = before[name] {
                    // The log has it.
                } else {
                    logger.error("\(error.message)", metadata: ["reason": "\(error.reason.rawValue)"])
                }
                found[name] = .failure(error)
                portFailures[name] = clock.monotonic()
            }
        }
        guard hasChanged || found != before else { return false }
        ports = found
        changes += 1
        refreshDevices(ofPorts: names)
        return true
    }

    /// Whether a port is to be looked at: one that could not be had is tried again every ten seconds. That a name is free, or bpffs is
    /// there, costs nothing to find out.
    private func isPortDue(_ name: String) -> Bool {
        guard case .failure(let failure)? = ports[name], let last = portFailures[name] else { return true }
        let isCheap = [.destinationUnsafe, .detachedRepeatedly, .bpffsNotMounted].contains(failure.reason)
        return isCheap || clock.monotonic() - last >= Self.portPatience
    }

    /// Seconds between two tries.
    static let portPatience: Double = 10

    private func keep(_ name: String, _ marks: [PacketMark], _ known: MonitorPort?) throws(Failure) -> MonitorPort {
        let mechanism: Mechanism
        do {
            // Where the kernel has TCX its programs run before all filters: one who came by TCX would be in front of ours. These
            // devices are nobody else's, so <mechanism> says nothing of them.
            mechanism = try dataplane.mechanism(for: .auto)
        } catch {
            guard var known else { throw error }
            known.unseen = error
            return known
        }
        return try dataplane.installPort(MonitorPort.Spec(name: name, marks: marks, mechanism: mechanism), known: known)
    }

    /// Whoever removes a port again and again finds it made again every ten minutes: making it costs the host more than removing it.
    /// - Returns: whether it was found removed, which is then counted.
    private func requireNoFight(_ name: String, before: Result<MonitorPort, Failure>?) throws(Failure) -> Bool {
        let now = clock.monotonic()
        // Until they are put back, copies get to the host: rather none than those of each interval.
        guard portGuards.mayRestore(name, at: now) else {
            throw Failure(
                .detachedRepeatedly,
                "monitor port \(name): something on this host again and again removes what keeps copies from the host's own network, or "
                    + "puts a program before it; no copies are sent for \(Int(RemovalHistory<String>.window / 60)) minutes. Find what "
                    + "changes tc filters and programs of devices that it does not know")
        }
        guard isPortGone(name, before) else { return false }
        if case .success? = before { portRemovals.removed(name, at: now) }
        guard portRemovals.mayRestore(name, at: now) else {
            throw Failure(
                .detachedRepeatedly,
                "monitor port \(name): something on this host removes it again and again; it is made again every "
                    + "\(Int(RemovalHistory<String>.window / 60)) minutes. Find what deletes devices that it does not know")
        }
        portRemovals.restored(name, at: now)
        return true
    }

    /// Whether there is no end of ours, whatever it is called.
    private func isPortGone(_ name: String, _ port: Result<MonitorPort, Failure>?) -> Bool {
        if case .success(let port)? = port { devices[port.ifindex] == nil } else { devices[MonitorPort.device(of: name)] == nil }
    }

    /// The same at once where a device of ours has gone, or the sensors' end has come back from another network namespace: filters do not
    /// move with a device, as programs of TCX do.
    func keepMissingPorts() {
        let isMissing = ports.contains { name, port in
            guard case .success(let known) = port else { return false }
            if known.listener == nil, devices[known.ifindex]?.isLinkElsewhere == false { return true }
            return isPortGone(name, port)
        }
        if isMissing { keepPorts(isComplete: false) }
    }

    /// What copies are marked with: as the configuration says, and as those taps do that are not brought up to date yet.
    private var copyMarks: [PacketMark] {
        let mark = configuration.value.mark
        let others = Set(attachments.all.compactMap { $0.spec?.options.mark }).subtracting([mark])
        return [mark] + others.sorted { ($0.value, $0.mask) < ($1.value, $1.mask) }
    }

    /// Reads these devices alone: what else changed meanwhile is noticed when all are read.
    private func refreshDevices(ofPorts names: [String]) {
        for name in names.flatMap({ [MonitorPort.device(of: $0), $0] }) {
            do {
                devices.update(name, try dataplane.device(named: name))
            } catch {
                noteKernelTrouble(error)
            }
        }
    }

    private func removePorts(but names: Set<String>) {
        do throws(Failure) {
            for name in try dataplane.removePorts(but: names) {
                logger.notice("monitor port \(name.printable) is gone: the configuration does not name it")
                refreshDevices(ofPorts: [name])
            }
        } catch {
            noteKernelTrouble(error)
        }
    }

    private func tell(_ name: String, _ port: MonitorPort, before: Result<MonitorPort, Failure>?) {
        switch port.change {
        case .made:
            if case .success? = before {
                let what = "sensors have to be started again, and one that is in another network namespace has to be given it again"
                logger.warning("somebody removed monitor port \(name); it was made again: \(what)")
            } else {
                logger.notice("monitor port \(name) is made: sensors listen at \(name)")
            }
        case .guarded(let hooks):
            let what = "somebody removed what keeps copies from this host's own network, or put a program before it"
            logger.warning("monitor port \(name): \(what) (\(hooks.joined(separator: ", "))); it is back")
        case .updated: logger.info("monitor port \(name) was brought up to date")
        case nil: break
        }
        if let trouble = port.unseen, (try? before?.get())?.unseen != trouble {
            logger.error(
                "monitor port \(name) could not be looked at, and is used as it was: \(trouble.message)",
                metadata: ["reason": "\(trouble.reason.rawValue)"])
        }
        guard case .success(let former)? = before, former.listener != port.listener, port.change != .made else { return }
        if let listener = port.listener {
            logger.notice("monitor port \(name): sensors listen at \(listener.printable) now, as somebody has called it")
        } else {
            logger.notice("monitor port \(name) is in another network namespace now, where its sensors listen; copies go on")
        }
    }

    /// What of the ports is not as the configuration says, for whoever has it read again.
    var portWarnings: [TapStatus.Warning] {
        ports.sorted { $0.key < $1.key }.compactMap { _, port in
            guard case .failure(let failure) = port else { return nil }
            return TapStatus.Warning(reason: failure.reason, message: failure.message)
        }
    }
}
