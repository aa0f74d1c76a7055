// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// The monitor ports of the configuration.
extension Reconciler {
    /// Makes those that are missing and puts the others right.
    /// - Parameter isComplete: removes those that the configuration no longer names, too.
    /// - Returns: whether one is not what it was.
    @discardableResult
    func keepPorts(isComplete: Bool) -> Bool {
        // Without a configuration what there is stays: nobody knows what this host wants.
        guard configuration.missing == nil, !configuration.isPaused else { return false }
        let names = configuration.value.destinations.compactMap { definition -> String? in
            if case .monitor(let name) = definition.target { name } else { nil }
        }
        let before = ports.ports
        if isComplete { removePorts(but: Set(names)) }
        guard !names.isEmpty || !before.isEmpty else { return false }
        let marks = copyMarks
        var found: [String: Result<MonitorPort, Failure>] = [:]
        var hasChanged = false
        for name in names {
            guard isComplete || ports.isDue(name, at: clock.monotonic()) else {
                found[name] = before[name]
                continue
            }
            let known = try? before[name]?.get()
            do throws(Failure) {
                let wasGone = try ports.requireNoFight(name, in: devices, at: clock.monotonic())
                var port = try keep(name, marks, known)
                ports.countRemovals(name, port, wasGone: wasGone, at: clock.monotonic())
                log(name, port, before: before[name])
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
                ports.failed(name, at: clock.monotonic())
            }
        }
        guard ports.replace(found, isChanged: hasChanged) else { return false }
        refreshDevices(ofPorts: names)
        return true
    }

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

    /// Makes at once what is missing: a device of ours has gone, or the sensors' end has come back from another network namespace without
    /// its filters, which do not move with a device as programs of TCX do.
    func keepMissingPorts() {
        if ports.isAnyMissing(in: devices) { keepPorts(isComplete: false) }
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
                knownDevices.update(name, try dataplane.device(named: name))
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

    private func log(_ name: String, _ port: MonitorPort, before: Result<MonitorPort, Failure>?) {
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
                "monitor port \(name) could not be read, and is used as it was: \(trouble.message)",
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
        ports.ports.sorted { $0.key < $1.key }.compactMap { _, port in
            guard case .failure(let failure) = port else { return nil }
            return TapStatus.Warning(reason: failure.reason, message: failure.message)
        }
    }
}
