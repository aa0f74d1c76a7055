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
    private static let unfinished = OwnDevice.alias("unfinished")
    private static let listenersAlias = OwnDevice.alias("monitor port")

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    // MARK: Making one

    /// - Throws: `destination-unsafe` when a device that is not ours has one of the two names.
    func keep(_ wish: MonitorPort.Wish) throws -> MonitorPort {
        let own = OwnDevice(MonitorPort.device(of: wish.name), kernel)
        guard let found = try own.find() else { return try make(wish, own) }
        guard found.mayBeOurs else { throw Self.taken(own.name, wish.name) }
        if let other = Self.port(found), other != wish.name { throw Self.taken(own.name, wish.name) }
        // What an earlier try left, which was cut off.
        guard Self.port(found) != nil else {
            try remove(found)
            return try make(wish, own)
        }
        let listener = try listener(of: found)
        var change: MonitorPort.Change?
        let missing = try missing(found, listener, wish)
        let isCurrent = found.alias == Self.alias(wish)
        if !isCurrent || !missing.isEmpty {
            try attach(isCurrent ? missing : Self.places(found, listener), found, wish)
            try own.call(found.ifindex, Self.alias(wish))
            change = missing.isEmpty || !isCurrent ? .updated : .guarded(missing.map(Self.describe))
        }
        // Nobody needs it down. Whoever sets the sensors' end down means it.
        if !found.isUp { try own.setUp(found.ifindex) }
        return MonitorPort(ifindex: found.ifindex, listener: listener?.name, change: change)
    }

    private func make(_ wish: MonitorPort.Wish, _ own: OwnDevice) throws -> MonitorPort {
        guard if_nametoindex(wish.name) == 0 else { throw Self.taken(wish.name, wish.name) }
        try pins.makeLayout()
        do {
            try own.make(peer: wish.name)
        } catch let error as KernelError where error.number == EEXIST {
            // An altname, or somebody was quicker.
            throw Self.taken(wish.name, wish.name)
        }
        do {
            guard let found = try own.find(), let listener = try listener(of: found) else {
                throw KernelError(call: .changeDevice, number: ENODEV, subject: own.name)
            }
            try own.call(found.ifindex, Self.unfinished)
            let listening = OwnDevice(listener.name, kernel)
            try own.silence(found.ifindex)
            try listening.silence(listener.ifindex)
            try attach(Self.places(found, listener), found, wish)
            try own.setUp(found.ifindex)
            try listening.setUp(listener.ifindex)
            try listening.call(listener.ifindex, Self.listenersAlias)
            // Last: it says that all of this was done.
            try own.call(found.ifindex, Self.alias(wish))
            return MonitorPort(ifindex: found.ifindex, listener: listener.name, change: .made)
        } catch {
            if let found = try? own.find() { try? remove(found) }
            throw error
        }
    }

    private static func taken(_ device: String, _ port: String) -> Failure {
        Failure(
            .destinationUnsafe,
            "monitor port \(port) needs a device called \(device), and one that is not virt-tap's has that name, which is left as it is; "
                + (device == port
                    ? "give the port another name in the configuration, or rename or remove that device (`ip link del \(device)`)"
                    : "rename or remove that one, or give the port another name"))
    }

    // MARK: Its programs

    private struct Place {
        var part: PortGuard
        var device: OwnDevice.Found
    }

    private static func places(_ own: OwnDevice.Found, _ listener: OwnDevice.Found?) -> [Place] {
        // The sensors' end first: copies come last.
        (listener.map { listener in PortGuard.of(.listening).map { Place(part: $0, device: listener) } } ?? [])
            + PortGuard.of(.sending).map { Place(part: $0, device: own) }
    }

    private static func describe(_ place: Place) -> String { "\(place.device.name) \(place.part.isEgress ? "egress" : "ingress")" }

    /// The sensors' end, as far as it is in this network namespace.
    private func listener(of own: OwnDevice.Found) throws -> OwnDevice.Found? {
        guard !own.isOtherElsewhere, let other = own.other else { return nil }
        return try OwnDevice.find(other, kernel)
    }

    /// Where no program of ours is, or another before it.
    private func missing(_ own: OwnDevice.Found, _ listener: OwnDevice.Found?, _ wish: MonitorPort.Wish) throws -> [Place] {
        let programs = try [false, true].map { try kernel.open(pins.port(own.ifindex, Self.pin($0)), CLIBBPF_PROGRAM)?.programID() }
        return try Self.places(own, listener).filter { place in
            guard let program = programs[place.part.passesCopies ? 1 : 0] else { return true }
            return try !place.part.isInPlace(program, on: place.device.ifindex, wish.mechanism, kernel)
        }
    }

    /// What the pin of a program is called.
    private static func pin(_ passesCopies: Bool) -> String { passesCopies ? "copies" : "nothing" }

    /// Attaches in these places what is pinned and as it is wished, else new programs in all that would have them.
    private func attach(_ places: [Place], _ own: OwnDevice.Found, _ wish: MonitorPort.Wish) throws {
        for passesCopies in [false, true] {
            let due = places.filter { $0.part.passesCopies == passesCopies }
            guard !due.isEmpty else { continue }
            let path = pins.port(own.ifindex, Self.pin(passesCopies))
            // A hook takes the same program once only.
            let program = try PortGuard.load(passesCopies ? wish.marks : [], kernel)
            let all = passesCopies ? due : Self.places(own, try listener(of: own)).filter { !$0.part.passesCopies }
            for place in all {
                let link = pins.port(own.ifindex, "\(place.part.end.rawValue)-\(place.part.isEgress ? "egress" : "ingress")")
                try place.part.attach(program, to: place.device.ifindex, wish.mechanism, path: link, pins)
            }
            try pins.place(program, at: path, kind: CLIBBPF_PROGRAM, Undo())
        }
    }

    // MARK: What is there

    private static func alias(_ wish: MonitorPort.Wish) -> String {
        let marks = wish.marks.prefix(PortGuard.capacity).map { "\(String($0.value, radix: 16))/\(String($0.mask, radix: 16))" }
        return OwnDevice.alias("\(kind) \(wish.name) \(PortObject.build) \(wish.mechanism.rawValue) \(marks.joined(separator: ","))")
    }

    /// Which port our end is of; `nil` for none, or for one that was never finished.
    private static func port(_ own: OwnDevice.Found) -> String? {
        guard own.isOurs, let words = own.alias?.split(separator: " "), words.count > 2, words[1] == kind else { return nil }
        return String(words[2])
    }

    /// Our ends of all ports that there are, finished or not.
    private func all() throws -> [OwnDevice.Found] {
        try if_nameindex_names().filter { name in HostDevice.isOurs(name) && !HopEnd.allCases.contains { $0.device == name } }
            .compactMap { try OwnDevice($0, kernel).find() }.filter(\.isOurs)
    }

    private func if_nameindex_names() -> [String] {
        guard let list = if_nameindex() else { return [] }
        defer { if_freenameindex(list) }
        return sequence(first: list) { $0 + 1 }.lazy.prefix { $0.pointee.if_index != 0 }.map { String(cString: $0.pointee.if_name) }
    }

    // MARK: Removing

    /// Removes every port but those with these names.
    /// - Returns: the names of those that were removed.
    func remove(but names: Set<String>) throws -> [String] {
        let wished = Set(names.map(MonitorPort.device))
        var removed: [String] = []
        for own in try all() where !wished.contains(own.name) {
            try remove(own)
            removed.append(Self.port(own) ?? own.name)
        }
        return removed
    }

    /// Removes one with what is pinned for it, and the pins of those that are gone.
    private func remove(_ own: OwnDevice.Found) throws {
        // A veth's other end goes with it, wherever it is.
        try OwnDevice(own.name, kernel).remove(own.ifindex)
        try removePins { $0 == own.ifindex }
    }

    /// Removes what is pinned for ports that are gone.
    func removeDeadPins() throws {
        let living = Set(try all().map(\.ifindex))
        try removePins { !living.contains($0) }
    }

    private func removePins(of isMeant: (UInt32) -> Bool) throws {
        for entry in try pins.entries(in: pins.layout) {
            let words = entry.name.split(separator: "-", maxSplits: 2)
            guard words.count == 3, words[0] == Self.kind, let ifindex = UInt32(words[1], radix: 16), isMeant(ifindex) else { continue }
            try kernel.unlink("\(pins.layout)/\(entry.name)")
        }
    }
}
