// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import PacketFilter
public import TapModel

extension KernelDataplane {
    // MARK: Attaching

    public func attach(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure) {
        try reporting(Self.name(desired)) {
            try requireDevice(of: desired)
            try attachNew(desired, at: now)
        }
    }

    public func replace(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure) {
        try reporting(Self.name(desired)) {
            let id = desired.key.id
            _ = try pins.has(id)
            try requireDevice(of: desired)
            guard let old = try specs.read(id) else {
                try removeAttachment(id)
                return try attachNew(desired, at: now)
            }
            let undo = Undo()
            do {
                // Lost counters are made anew, and count from now.
                let kept = try openCounters(id)
                let counters = try kept ?? createCounters(id, undo)
                try attach(desired, replacing: old, since: kept == nil ? now : old.since, counters, undo)
            } catch {
                undo.run()
                throw error
            }
        }
    }

    private static func name(_ desired: DesiredAttachment) -> String {
        "tap \"\(desired.key.tap)\" of \(desired.domainName) on \(desired.interface.device)"
    }

    /// Throws before anything is loaded or pinned for a device that is gone.
    private func requireDevice(of desired: DesiredAttachment) throws {
        guard DeviceList.exists(desired.key.ifindex) else {
            throw KernelError(call: .createLink, number: ENODEV, subject: desired.interface.device)
        }
    }

    private func createCounters(_ id: AttachmentID, _ undo: Undo) throws -> KernelObject {
        let counters = try MapLayout.counters.make(kernel)
        try pins.pin(counters, at: pins.counters(id), kind: CLIBBPF_MAP, undo)
        return counters
    }

    private func attachNew(_ desired: DesiredAttachment, at now: Timestamp) throws {
        let id = desired.key.id
        if try pins.has(id) {
            let spec = try specs.read(id)
            let isDead = try observe(id, spec, shared: nil).isDead
            guard spec == nil || isDead else {
                throw Failure(.attachFailed, "it is attached already: \(pins.directory(id)) exists")
            }
            try removeAttachment(id)
        }
        try makeLayout()
        // With a lost filter on the device, frames would be copied twice.
        try removeOrphanFilters(on: id.ifindex)
        let undo = Undo()
        do {
            let directory = pins.directory(id)
            try kernel.makeDirectory(directory)
            undo.add { [pins] in try pins.remove(id) }
            let counters = try createCounters(id, undo)
            try attach(desired, replacing: nil, since: now, counters, undo)
        } catch {
            undo.run()
            throw error
        }
    }

    /// Loads, pins and attaches the programs of an attachment, new or in place of the old ones.
    ///
    /// The order is such that a crash after any step leaves a state that the next start recognises and repairs. Programs are
    /// pinned before they run, so that a filter can be recognised as ours. The spec is pinned before the first program runs. In a
    /// replacement it names the new programs after they run: a crash in between shows as detached, and is replaced once more.
    private func attach(
        _ desired: DesiredAttachment, replacing old: AttachmentSpec?, since: Timestamp, _ counters: KernelObject, _ undo: Undo
    ) throws {
        let id = desired.key.id
        var spec = AttachmentSpec(desired, since: since, build: TapProgram.build)
        // Egress first, since it decides which qdisc is needed.
        let wanted = desired.options.direction.directions.sorted { spec.hookPoint($0).isEgress && !spec.hookPoint($1).isEgress }
        let rate = desired.options.rate == nil ? nil : try openOrCreateRateMap(desired, replacing: old?.options.rate, undo)
        let destination = try readDestination(of: desired)
        try installRelay(for: desired, destination.maps)
        let programs = try loadPrograms(desired, destination, rate, counters)
        ownPrograms.learn(programs.values.map(\.id))
        spec.inboundProgram = programs[.inbound]?.id
        spec.outboundProgram = programs[.outbound]?.id
        let known = try readProgramIDs(id, old)
        if spec.mechanism == .clsact {
            let former = old?.mechanism == .clsact ? old?.clsact : nil
            spec.clsact = try clsact.chooseFilter(wanted.map { spec.hookPoint($0) }, former: former, programs: known)
        }
        var formers: [Direction: KernelObject] = [:]
        for direction in wanted {
            formers[direction] = try openProgram(id, direction)
            if let program = programs[direction] {
                try pins.pin(program.object, at: pins.program(id, direction), kind: CLIBBPF_PROGRAM, undo)
            }
        }
        if old == nil { try specs.write(spec, undo) }

        let hooks = hooks(spec.mechanism)
        for direction in wanted {
            guard let program = programs[direction] else { continue }
            let hook = AttachmentHook(spec, direction)
            if let old, old.mechanism == spec.mechanism, AttachmentHook(old, direction) == hook,
                try hooks.isAttached(hook, programs: known)
            {
                try hooks.replace(program, at: hook, former: formers[direction], undo)
            } else {
                try hooks.attach(program, at: hook, undo)
            }
        }
        guard let old else { return }
        try specs.write(spec, undo)
        try removeLeftovers(of: old, now: spec, known)
    }

    /// Removes what `old` had and `spec` has not: a direction, a rate, or a hook that has changed.
    private func removeLeftovers(of old: AttachmentSpec, now spec: AttachmentSpec, _ known: Set<UInt32>) throws {
        let id = spec.key.id
        for direction in Direction.allCases {
            let isWanted = spec.options.direction.directions.contains(direction)
            // A pin holds one link: a new link that replaced it has detached the old one.
            if !(isWanted && spec.mechanism == .tcx) { try tcx.remove(id, direction) }
            let hook = AttachmentHook(old, direction)
            if old.mechanism == .clsact, !(isWanted && spec.mechanism == .clsact && hook == AttachmentHook(spec, direction)) {
                try clsact.remove(hook, programs: known)
            }
            if !isWanted { try kernel.unlink(pins.program(id, direction)) }
        }
        if spec.options.rate == nil { try kernel.unlink(pins.rate(id)) }
        if old.needsRelay, !spec.needsRelay { removeUnusedRelay() }
        if old.mechanism == .clsact, spec.mechanism != .clsact {
            try clsact.releaseQdisc(id.ifindex)
        }
    }

    /// The destination's slot in the maps that all attachments share.
    struct DestinationSlot {
        let number: UInt32
        let maps: SharedMaps
    }

    func readDestination(of desired: DesiredAttachment) throws -> DestinationSlot {
        guard let table = try openDestinationTable(), let slot = try table.slot(of: desired.options.destination) else {
            throw Failure(
                .noSuchDestination, "destination \"\(desired.options.destination)\" is not set in the kernel yet; it is tried again")
        }
        return DestinationSlot(number: slot, maps: table.maps)
    }

    /// Installs the relay if the attachment needs it.
    func installRelay(for desired: DesiredAttachment, _ maps: SharedMaps) throws {
        guard desired.needsRelay else { return }
        try relay.installIfNeeded(maps)
        recentRelayCheck = nil
    }

    /// Loads one program per direction. Attaches nothing and makes no devices.
    func loadPrograms(
        _ desired: DesiredAttachment, _ destination: DestinationSlot, _ rate: KernelObject?, _ counters: KernelObject
    ) throws -> [Direction: TapProgram] {
        let filter = try translate(desired)
        let maps = TapProgram.Maps(counters: counters, shared: destination.maps, rate: rate)
        return try desired.options.direction.directions.reduce(into: [:]) { programs, direction in
            let constants = TapProgram.Constants(
                direction: direction, options: desired.options, destinationSlot: destination.number, filter: filter)
            programs[direction] = try TapProgram.load(constants, maps, kernel)
        }
    }

    /// The filter as eBPF; empty for a tap without one.
    private func translate(_ desired: DesiredAttachment) throws -> [UInt64] {
        guard let expression = desired.options.filter else { return [] }
        guard let filter = desired.filter, filter.expression == expression else {
            throw Failure(.filterPending, "its filter is not compiled yet")
        }
        return try FilterTranslation.translate(ClassicProgram(filter.instructions.map { ClassicInstruction(word: $0) }))
    }

    /// Opens the rate map that all attachments of one tap share, wherever one of them has it pinned; else creates one. A changed rate
    /// gets a new map: debts of the former rate do not count, and the former programs still run for a moment.
    private func openOrCreateRateMap(_ desired: DesiredAttachment, replacing former: RateLimit?, _ undo: Undo) throws -> KernelObject {
        let id = desired.key.id
        func pinned(_ id: AttachmentID) throws -> KernelObject? {
            guard let map = try kernel.open(pins.rate(id), CLIBBPF_MAP), try MapLayout.rate.fits(kernel.mapInfo(map)) else { return nil }
            return map
        }
        if former == desired.options.rate, let map = try pinned(id) { return map }
        let siblings = try pins.attachmentIDs().lazy.filter { $0 != id && $0.isSameTap(as: id) }
        let map =
            try siblings.filter { try specs.read($0)?.options.rate == desired.options.rate }.compactMap(pinned).first
            ?? createRateMap()
        try pins.pin(map, at: pins.rate(id), kind: CLIBBPF_MAP, undo)
        return map
    }

    func createRateMap() throws -> KernelObject {
        let map = try MapLayout.rate.make(kernel)
        try kernel.write(RateCost.allPaid, to: map, at: 0)
        return map
    }

    func openProgram(_ id: AttachmentID, _ direction: Direction) throws -> KernelObject? {
        try kernel.open(pins.program(id, direction), CLIBBPF_PROGRAM)
    }

    /// Reads the ids of all programs that may run for an attachment: those in the spec, and those that were pinned since.
    func readProgramIDs(_ id: AttachmentID, _ spec: AttachmentSpec?) throws -> Set<UInt32> {
        try Direction.allCases.reduce(into: spec?.programs ?? []) { known, direction in
            if let program = try openProgram(id, direction) { known.insert(try program.programID()) }
        }
    }

    // MARK: Detaching

    public func detach(_ id: AttachmentID) throws(Failure) {
        try reporting("detaching \(id)") {
            try removeAttachment(id)
            removeUnusedRelay()
        }
    }

    func removeAttachment(_ id: AttachmentID) throws {
        guard try pins.has(id) else { return }
        let spec = try specs.read(id)
        let known = try readProgramIDs(id, spec)
        for direction in Direction.allCases {
            try tcx.remove(id, direction)
            if let spec { try clsact.remove(AttachmentHook(spec, direction), programs: known) }
        }
        try pins.remove(id)
        // An unreadable spec does not say where its filters are.
        try removeOrphanFilters(on: id.ifindex)
        try clsact.releaseQdisc(id.ifindex)
    }

    /// Removes the relay with the last tap that needs it. A failure is no error here: the caller's work is done, and the removal is tried
    /// again when all attachments are read next.
    func removeUnusedRelay() {
        guard relay.exists(), let ids = try? pins.attachmentIDs() else { return }
        let isNeeded = ids.contains { id in
            // An attachment whose spec cannot be read may need it.
            guard let spec = try? specs.read(id) else { return true }
            return spec.needsRelay
        }
        if !isNeeded { try? relay.remove() }
    }

    // MARK: Removing everything

    public func purge() throws(Failure) -> Int {
        try reporting("removing everything of virt-tap's") {
            // Check everything first, so that a purge is refused as a whole.
            try pins.open(pins.top)?.requireOursThroughout()
            // Without a lock to keep, hold one while the purge runs.
            let lock = pinLock.isRequested ? pinLock : PinLock()
            if pins.exists(pins.top) { try lock.acquire(pins) }
            defer { if lock !== pinLock { lock.release() } }
            let ids = try pins.attachmentIDs()
            var first: (any Error)?
            for id in ids {
                do { try removeAttachment(id) } catch { first = first ?? error }
            }
            if let first { throw first }
            var others = 0
            for entry in try pins.entries(in: pins.top) where entry.isDirectory && entry.name != "\(MapLayout.version)" {
                others += try pins.entries(in: "\(pins.top)/\(entry.name)").count { AttachmentID(directory: $0.name) != nil }
            }
            let orphans = try purgeFilters()
            for entry in try pins.entries(in: pins.layout) where entry.name.hasPrefix("qdisc-") {
                if let ifindex = UInt32(entry.name.dropFirst("qdisc-".count), radix: 16) { try clsact.releaseQdisc(ifindex) }
            }
            try relay.remove()
            _ = try ports.remove(but: [])
            try pins.removeAll()
            return ids.count + others + orphans
        }
    }

    /// Removes every filter of ours that no pin records.
    /// - Returns: the number of attachments to which they belonged.
    private func purgeFilters() throws -> Int {
        try TrafficControl.readFilterDevices(kernel).reduce(0) { count, ifindex in
            let filters = try clsact.readOwnFilters(ifindex)
            for filter in filters { try clsact.remove(filter) }
            return count + Set(filters.map { AttachmentSpec.ClsactFilter(priority: $0.priority, handle: $0.handle) }).count
        }
    }
}
