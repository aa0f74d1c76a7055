// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// Makes monitor ports, keeps them apart from the host, and removes them.
///
/// The kernel remembers all of it: our end says by its alias which port it is of, how it was made and that it is whole; the programs are
/// pinned by its ifindex.
struct PortInstaller {
    private static let kind = "port"
    private static let incompleteAlias = OwnDevice.alias("unfinished")
    private static let listenerAlias = OwnDevice.alias("monitor port")

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    // MARK: Making one

    /// - Parameter known: as it was found last. It is given back where it cannot be looked at, or where only what is new about the spec
    ///   cannot be had: what keeps copies from the host's network stays where it is then.
    /// - Throws: `destination-unsafe` when a device that is not ours has one of the two names.
    func installOrUpdate(_ spec: MonitorPort.Spec, known: MonitorPort?) throws -> MonitorPort {
        func keep(because error: any Error) throws -> MonitorPort {
            guard var known else { throw error }
            known.unseen = FailureReport.failure(error, "monitor port \(spec.name)")
            return known
        }
        let observed: ObservedPort?
        do {
            observed = try read(spec)
        } catch let error as Failure where error.reason == .destinationUnsafe {
            throw error
        } catch {
            return try keep(because: error)
        }
        guard let observed else { return try create(spec) }
        guard observed.isComplete else {
            // What an earlier try left, which was cut off.
            try remove(observed.own)
            return try create(spec)
        }
        let (own, isCurrent) = (observed.own, observed.own.alias == Self.alias(spec))
        var change: MonitorPort.Change?
        do {
            let device = OwnDevice(own.name, kernel)
            if !isCurrent || !observed.missing.isEmpty {
                let hooks = isCurrent ? observed.missing : Self.hooks(own, observed.listener)
                try attach(hooks, own, spec, try Programs(spec, kernel))
                try device.setAlias(Self.alias(spec), of: own.ifindex)
                change = observed.missing.isEmpty || !isCurrent ? .updated : .guarded(observed.missing.map(Self.describe))
            }
            // Nobody needs it down. Whoever sets the sensors' end down means it.
            if !own.isUp { try device.setUp(own.ifindex) }
        } catch {
            guard observed.missing.isEmpty else { throw error }
            return try keep(because: error)
        }
        return MonitorPort(ifindex: own.ifindex, listener: observed.listener?.name, change: change)
    }

    /// What is there of a port.
    private struct ObservedPort {
        var own: OwnDevice.Observed
        var isComplete: Bool
        var listener: OwnDevice.Observed?
        /// Where no program of ours is, or another before it.
        var missing: [GuardedHook] = []
    }

    private func read(_ spec: MonitorPort.Spec) throws -> ObservedPort? {
        try pins.requireMounted()
        let name = MonitorPort.device(of: spec.name)
        var found = try OwnDevice(name, kernel).read()
        if found.flatMap(Self.port) != spec.name {
            // Somebody may have called it otherwise.
            found = try OwnDevice.readAll(kernel).first { Self.port($0) == spec.name } ?? found
        }
        guard let found else { return nil }
        // Without an alias it is what a try left that was cut off, when both ends are called as those of a port are.
        guard try found.isOurs || (found.mayBeOurs && listener(of: found)?.name == spec.name) else { throw Self.nameConflict(name, spec.name) }
        guard let port = Self.port(found) else { return ObservedPort(own: found, isComplete: false) }
        guard port == spec.name else { throw Self.nameConflict(name, spec.name) }
        let listener = try listener(of: found)
        return ObservedPort(own: found, isComplete: true, listener: listener, missing: try missingHooks(found, listener, spec))
    }

    private func create(_ spec: MonitorPort.Spec) throws -> MonitorPort {
        let own = OwnDevice(MonitorPort.device(of: spec.name), kernel)
        let outer = OwnDevice(spec.name, kernel)
        // The kernel would count up what it takes for a template: those that it made would never be found.
        guard !spec.name.contains("%"), try outer.read() == nil else { throw Self.nameConflict(spec.name, spec.name) }
        try pins.makeLayout()
        // Before: devices that come and go at each try cost the whole host, which is told of them.
        let programs = try Programs(spec, kernel)
        do {
            try own.create(peer: spec.name)
        } catch let error as KernelError where error.number == EEXIST {
            // An altname, or somebody was quicker.
            throw Self.nameConflict(spec.name, spec.name)
        }
        do {
            guard let found = try readCreated(own, outer), let listener = try listener(of: found) else {
                throw KernelError(call: .changeDevice, number: ENODEV, subject: own.name)
            }
            try own.setAlias(Self.incompleteAlias, of: found.ifindex)
            let listening = OwnDevice(listener.name, kernel)
            try own.disableAddressing(found.ifindex)
            try listening.disableAddressing(listener.ifindex)
            try attach(Self.hooks(found, listener), found, spec, programs)
            try own.setUp(found.ifindex)
            try listening.setUp(listener.ifindex)
            try listening.setAlias(Self.listenerAlias, of: listener.ifindex)
            // Last: it says that all of this was done.
            try own.setAlias(Self.alias(spec), of: found.ifindex)
            return MonitorPort(ifindex: found.ifindex, listener: listener.name, change: .made)
        } catch {
            if let found = try? readCreated(own, outer) { try? remove(found) }
            throw error
        }
    }

    /// Our end of a pair that was just made: somebody (udev's rules) may have called one of the two otherwise already.
    private func readCreated(_ own: OwnDevice, _ outer: OwnDevice) throws -> OwnDevice.Observed? {
        if let found = try own.read(), found.mayBeOurs { return found }
        guard let other = try outer.read()?.peer, let found = try OwnDevice.read(other, kernel), found.mayBeOurs else { return nil }
        return found
    }

    private static func nameConflict(_ device: String, _ port: String) -> Failure {
        Failure(
            .destinationUnsafe,
            "monitor port \(port) needs a device called \(device), and one that is not virt-tap's has that name, which is left as it is; "
                + "give the port another name in the configuration, or that device, if nothing needs it by this one")
    }

    // MARK: Its programs

    private struct GuardedHook {
        var guardProgram: PortGuard
        var device: OwnDevice.Observed
    }

    private static func hooks(_ own: OwnDevice.Observed, _ listener: OwnDevice.Observed?) -> [GuardedHook] {
        // The sensors' end first: copies come last.
        (listener.map { listener in PortGuard.of(.listening).map { GuardedHook(guardProgram: $0, device: listener) } } ?? [])
            + PortGuard.of(.sending).map { GuardedHook(guardProgram: $0, device: own) }
    }

    private static func describe(_ hook: GuardedHook) -> String { "\(hook.device.name) \(hook.guardProgram.isEgress ? "egress" : "ingress")" }

    /// The sensors' end, as far as it is in this network namespace.
    private func listener(of own: OwnDevice.Observed) throws -> OwnDevice.Observed? {
        guard !own.isPeerInOtherNamespace, let other = own.peer else { return nil }
        return try OwnDevice.read(other, kernel)
    }

    /// Where no program of ours is, or another before it.
    private func missingHooks(_ own: OwnDevice.Observed, _ listener: OwnDevice.Observed?, _ spec: MonitorPort.Spec) throws -> [GuardedHook] {
        let programs = try [false, true].map { try kernel.open(pins.port(own.ifindex, Self.pin($0)), CLIBBPF_PROGRAM)?.programID() }
        return try Self.hooks(own, listener).filter { hook in
            guard let program = programs[hook.guardProgram.passesCopies ? 1 : 0] else { return true }
            return try !hook.guardProgram.isInPlace(program, on: hook.device.ifindex, spec.mechanism, kernel)
        }
    }

    /// What the pin of a program is called.
    private static func pin(_ passesCopies: Bool) -> String { passesCopies ? "copies" : "nothing" }

    /// New programs for a port, loaded and nothing else.
    private struct Programs {
        let nothing, copies: KernelObject

        init(_ spec: MonitorPort.Spec, _ kernel: Kernel) throws {
            nothing = try PortGuard.load([], kernel)
            copies = try PortGuard.load(spec.marks, kernel)
        }
    }

    /// Attaches new programs in these hooks, and in all others that have the same.
    private func attach(_ hooks: [GuardedHook], _ own: OwnDevice.Observed, _ spec: MonitorPort.Spec, _ programs: Programs) throws {
        for passesCopies in [false, true] {
            let due = hooks.filter { $0.guardProgram.passesCopies == passesCopies }
            guard !due.isEmpty else { continue }
            let path = pins.port(own.ifindex, Self.pin(passesCopies))
            // A hook takes the same program once only.
            let program = passesCopies ? programs.copies : programs.nothing
            let all = passesCopies ? due : Self.hooks(own, try listener(of: own)).filter { !$0.guardProgram.passesCopies }
            for hook in all {
                let link = pins.port(own.ifindex, "\(hook.guardProgram.end.rawValue)-\(hook.guardProgram.isEgress ? "egress" : "ingress")")
                try hook.guardProgram.attach(program, to: hook.device.ifindex, spec.mechanism, path: link, pins)
            }
            try pins.pin(program, at: path, kind: CLIBBPF_PROGRAM, Undo())
        }
    }

    // MARK: What is there

    private static func alias(_ spec: MonitorPort.Spec) -> String {
        let marks = spec.marks.prefix(PortGuard.capacity).map(\.description)
        return OwnDevice.alias("\(kind) \(spec.name) \(PortObject.build) \(spec.mechanism.rawValue) \(marks.joined(separator: ","))")
    }

    /// Which port our end is of; `nil` for none, or for one that was never finished.
    private static func port(_ own: OwnDevice.Observed) -> String? {
        guard own.isOurs, let words = own.alias?.split(separator: " "), words.count > 2, words[1] == kind else { return nil }
        return String(words[2])
    }

    /// Our ends of all ports that there are, finished or not, and whatever they are called by now.
    private func readAll() throws -> [OwnDevice.Observed] {
        try OwnDevice.readAll(kernel).filter { Self.port($0) != nil || $0.alias == Self.incompleteAlias }
    }

    // MARK: Removing

    /// Removes every port but those with these names.
    /// - Returns: the names of those that were removed.
    func remove(but names: Set<String>) throws -> [String] {
        let kept = Set(names.map(MonitorPort.device))
        var removed: [String] = []
        for own in try readAll() where Self.port(own).map(names.contains) != true && !(Self.port(own) == nil && kept.contains(own.name)) {
            try remove(own)
            removed.append(Self.port(own) ?? own.name)
        }
        return removed
    }

    /// Removes one with what is pinned for it, and the pins of those that are gone.
    private func remove(_ own: OwnDevice.Observed) throws {
        // A veth's other end goes with it, wherever it is.
        try OwnDevice(own.name, kernel).remove(own.ifindex)
        try removePins { $0 == own.ifindex }
    }

    /// Removes what is pinned for ports that are gone.
    func removeDeadPins() throws {
        let living = Set(try readAll().map(\.ifindex))
        try removePins { !living.contains($0) }
    }

    private func removePins(of isSelected: (UInt32) -> Bool) throws {
        for entry in try pins.entries(in: pins.layout) {
            let words = entry.name.split(separator: "-", maxSplits: 2)
            guard words.count == 3, words[0] == Self.kind, let ifindex = UInt32(words[1], radix: 16), isSelected(ifindex) else { continue }
            try kernel.unlink("\(pins.layout)/\(entry.name)")
        }
    }
}
