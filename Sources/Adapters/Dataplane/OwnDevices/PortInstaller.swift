// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// Installs monitor ports, keeps them apart from the host, and removes them.
///
/// All state is in the kernel: the alias of our end says to which port it belongs, how it was installed and that it is complete; the pins of
/// the programs carry its ifindex.
struct PortInstaller {
    private static let kind = "port"
    private static let incompleteAlias = OwnDevice.alias("unfinished")
    private static let listenerAlias = OwnDevice.alias("monitor port")

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    // MARK: Installing

    /// Installs the port, or updates it to the spec.
    /// - Parameter known: the port as it was read last. It is returned where the port cannot be read, or where only an update to the spec
    ///   fails: the programs that keep copies from the host's network stay attached then.
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
            // An earlier installation ended half way.
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
            // Our end is never down on purpose. The sensors' end may be.
            if !own.isUp { try device.setUp(own.ifindex) }
        } catch {
            guard observed.missing.isEmpty else { throw error }
            return try keep(because: error)
        }
        return MonitorPort(ifindex: own.ifindex, listener: observed.listener?.name, change: change)
    }

    /// What exists of a port.
    private struct ObservedPort {
        var own: OwnDevice.Observed
        var isComplete: Bool
        var listener: OwnDevice.Observed?
        /// The hook points without our program, or with another program before it.
        var missing: [GuardedHook] = []
    }

    private func read(_ spec: MonitorPort.Spec) throws -> ObservedPort? {
        try pins.requireMounted()
        let name = MonitorPort.device(of: spec.name)
        var found = try OwnDevice(name, kernel).read()
        if found.flatMap(Self.port) != spec.name {
            // Somebody may have renamed it.
            found = try OwnDevice.readAll(kernel).first { Self.port($0) == spec.name } ?? found
        }
        guard let found else { return nil }
        // A pair without an alias whose ends both have the names of this port is what an interrupted installation left.
        guard try found.isOurs || (found.mayBeOurs && listener(of: found)?.name == spec.name) else {
            throw Self.nameConflict(name, spec.name)
        }
        guard let port = Self.port(found) else { return ObservedPort(own: found, isComplete: false) }
        guard port == spec.name else { throw Self.nameConflict(name, spec.name) }
        let listener = try listener(of: found)
        return ObservedPort(own: found, isComplete: true, listener: listener, missing: try missingHooks(found, listener, spec))
    }

    private func create(_ spec: MonitorPort.Spec) throws -> MonitorPort {
        let own = OwnDevice(MonitorPort.device(of: spec.name), kernel)
        let outer = OwnDevice(spec.name, kernel)
        // The kernel takes a name with % for a template and numbers the devices, which would never be found again.
        guard !spec.name.contains("%"), try outer.read() == nil else { throw Self.nameConflict(spec.name, spec.name) }
        try pins.makeLayout()
        // Load before creating devices: devices that come and go at each try cost the whole host, which is notified of each.
        let programs = try Programs(spec, kernel)
        do {
            try own.create(peer: spec.name)
        } catch let error as KernelError where error.number == EEXIST {
            // The name is an altname, or somebody created the device meanwhile.
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
            // The alias comes last: it says that all of this was done.
            try own.setAlias(Self.alias(spec), of: found.ifindex)
            return MonitorPort(ifindex: found.ifindex, listener: listener.name, change: .made)
        } catch {
            if let found = try? readCreated(own, outer) { try? remove(found) }
            throw error
        }
    }

    /// Reads our end of a pair that was just created, so that being up is no sign that it is another's: somebody who manages devices
    /// (systemd-networkd) may have set it up already, and somebody (udev's rules) may have renamed one of the two.
    private func readCreated(_ own: OwnDevice, _ outer: OwnDevice) throws -> OwnDevice.Observed? {
        if let found = try own.read(), found.mayBeJustCreated { return found }
        guard let other = try outer.read()?.peer, let found = try OwnDevice.read(other, kernel), found.mayBeJustCreated else { return nil }
        return found
    }

    private static func nameConflict(_ device: String, _ port: String) -> Failure {
        Failure(
            .destinationUnsafe,
            "monitor port \(port) needs a device named \(device), but a device of that name exists and is not virt-tap's; it is left as it is. "
                + "Give the port another name in the configuration, or rename that device")
    }

    // MARK: Its programs

    private struct GuardedHook {
        var guardProgram: PortGuard
        var device: OwnDevice.Observed
    }

    private static func hooks(_ own: OwnDevice.Observed, _ listener: OwnDevice.Observed?) -> [GuardedHook] {
        // The sensors' end first: the program that lets copies pass comes last.
        (listener.map { listener in PortGuard.of(.listening).map { GuardedHook(guardProgram: $0, device: listener) } } ?? [])
            + PortGuard.of(.sending).map { GuardedHook(guardProgram: $0, device: own) }
    }

    private static func describe(_ hook: GuardedHook) -> String {
        "\(hook.device.name) \(hook.guardProgram.isEgress ? "egress" : "ingress")"
    }

    /// Reads the sensors' end.
    /// - Returns: `nil` when it is in another network namespace.
    private func listener(of own: OwnDevice.Observed) throws -> OwnDevice.Observed? {
        guard !own.isPeerInOtherNamespace, let other = own.peer else { return nil }
        return try OwnDevice.read(other, kernel)
    }

    /// Reads at which hook points our program is missing, or has another program before it.
    private func missingHooks(_ own: OwnDevice.Observed, _ listener: OwnDevice.Observed?, _ spec: MonitorPort.Spec) throws -> [GuardedHook]
    {
        let programs = try [false, true].map { try kernel.open(pins.port(own.ifindex, Self.pin($0)), CLIBBPF_PROGRAM)?.programID() }
        return try Self.hooks(own, listener).filter { hook in
            guard let program = programs[hook.guardProgram.passesCopies ? 1 : 0] else { return true }
            return try !hook.guardProgram.isInPlace(program, on: hook.device.ifindex, spec.mechanism, kernel)
        }
    }

    /// The last part of a program's pin.
    private static func pin(_ passesCopies: Bool) -> String { passesCopies ? "copies" : "nothing" }

    /// New programs for a port, loaded and not attached.
    private struct Programs {
        let nothing, copies: KernelObject

        init(_ spec: MonitorPort.Spec, _ kernel: Kernel) throws {
            nothing = try PortGuard.load([], kernel)
            copies = try PortGuard.load(spec.marks, kernel)
        }
    }

    /// Attaches new programs at these hook points, and at all others that run the same program.
    private func attach(_ hooks: [GuardedHook], _ own: OwnDevice.Observed, _ spec: MonitorPort.Spec, _ programs: Programs) throws {
        for passesCopies in [false, true] {
            let due = hooks.filter { $0.guardProgram.passesCopies == passesCopies }
            guard !due.isEmpty else { continue }
            let path = pins.port(own.ifindex, Self.pin(passesCopies))
            // A TCX hook accepts a program once only.
            let program = passesCopies ? programs.copies : programs.nothing
            let all = passesCopies ? due : Self.hooks(own, try listener(of: own)).filter { !$0.guardProgram.passesCopies }
            for hook in all {
                let link = pins.port(own.ifindex, "\(hook.guardProgram.end.rawValue)-\(hook.guardProgram.isEgress ? "egress" : "ingress")")
                try hook.guardProgram.attach(program, to: hook.device.ifindex, spec.mechanism, path: link, pins)
            }
            try pins.pin(program, at: path, kind: CLIBBPF_PROGRAM, Undo())
        }
    }

    // MARK: Reading

    private static func alias(_ spec: MonitorPort.Spec) -> String {
        let marks = spec.marks.prefix(PortGuard.capacity).map(\.description)
        return OwnDevice.alias("\(kind) \(spec.name) \(PortObject.build) \(spec.mechanism.rawValue) \(marks.joined(separator: ","))")
    }

    /// The name of the port to which our end belongs; `nil` for no port, or an installation that was not completed.
    private static func port(_ own: OwnDevice.Observed) -> String? {
        guard own.isOurs, let words = own.alias?.split(separator: " "), words.count > 2, words[1] == kind else { return nil }
        return String(words[2])
    }

    /// Reads our ends of all ports, complete or not, whatever their names are by now.
    private func readAll() throws -> [OwnDevice.Observed] {
        try OwnDevice.readAll(kernel).filter { Self.port($0) != nil || $0.alias == Self.incompleteAlias }
    }

    // MARK: Removing

    /// Removes every port except those with these names.
    /// - Returns: the names of the ports that were removed.
    func remove(but names: Set<String>) throws -> [String] {
        let kept = Set(names.map(MonitorPort.device))
        var removed: [String] = []
        for own in try readAll() where Self.port(own).map(names.contains) != true && !(Self.port(own) == nil && kept.contains(own.name)) {
            try remove(own)
            removed.append(Self.port(own) ?? own.name)
        }
        return removed
    }

    /// Removes one port with its pins.
    private func remove(_ own: OwnDevice.Observed) throws {
        // The other end of the veth pair is removed with it, in whatever namespace.
        try OwnDevice(own.name, kernel).remove(own.ifindex)
        try removePins { $0 == own.ifindex }
    }

    /// Removes the pins of ports that no longer exist.
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
