// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
public import TapModel
import TapSystem

extension KernelDataplane {
    public func attachments() throws(Failure) -> [ObservedAttachment] {
        try reporting("reading what is attached") {
            if pinLock.isRequested {
                try removeOrphanFilters()
                removeUnusedRelay()
            }
            let specs = try pins.attachments().map { (id: $0, spec: try self.specs.read($0)) }
            ownPrograms.learn(specs.flatMap { $0.spec?.programs ?? [] })
            let shared = try openSharedMaps()
            // Somebody may be detaching meanwhile: what went is not half made.
            return try specs.filter { try $0.spec != nil || pins.has($0.id) }.map { try observe($0.id, $0.spec, shared: shared) }
        }
    }

    public func attachment(_ id: AttachmentID) throws(Failure) -> ObservedAttachment? {
        try reporting("reading attachment \(id)") {
            guard try pins.has(id) else { return nil }
            return try observe(id, try specs.read(id), shared: try openSharedMaps())
        }
    }

    public func isUndisturbed(_ attachment: ObservedAttachment) throws(Failure) -> Bool {
        guard let spec = attachment.spec else { return false }
        if spec.needsRelay, try !isRelayInstalled() { return false }
        return try reporting("looking after attachment \(attachment.id)", needsPins: false) {
            try attachment.hooks.allSatisfy { direction, former -> Bool in
                // What is missing already is known to be.
                guard case .attached(let position, _) = former, let program = spec.program(direction) else { return true }
                let hook = AttachmentHook(spec, direction)
                switch spec.mechanism {
                case .tcx:
                    // One call, and no pin is opened.
                    do {
                        let chain = try TCXHook.readChain(hook.point, kernel)
                        return position < chain.count && chain[position] == program
                    } catch let error as KernelError where error.number == ENODEV {
                        return false
                    }
                case .clsact:
                    return try clsact.observe(hook, program: program) { [ownPrograms] in
                        try ownPrograms.isOurs($0) { try self.readProgramIDs(on: attachment.id.ifindex) }
                    } == former
                }
            }
        }
    }

    /// All attachments have the same relay, so what was found a moment ago is not looked for again.
    private func isRelayInstalled() throws(Failure) -> Bool {
        try reporting("looking after the devices on which copies are cut", needsPins: false) {
            let tick = KernelClock.nanoseconds(CLOCK_MONOTONIC) / 500_000_000
            if let recent = recentRelayCheck, recent.tick == tick { return recent.isInstalled }
            let isInstalled = try openSharedMaps().map { try relay.isInstalled(with: $0) } ?? false
            recentRelayCheck = (tick, isInstalled)
            return isInstalled
        }
    }

    /// - Parameter shared: the pinned maps that all attachments share, `nil` if one is lost.
    func observe(_ id: AttachmentID, _ spec: AttachmentSpec?, shared: SharedMaps?) throws -> ObservedAttachment {
        let isOurs = { [ownPrograms] program in try ownPrograms.isOurs(program) { try self.readProgramIDs(on: id.ifindex) } }
        var observed: [Direction: ObservedAttachment.Hook] = [:]
        for direction in Direction.allCases {
            if let spec, spec.options.direction.directions.contains(direction) {
                let hook = AttachmentHook(spec, direction)
                observed[direction] = try hooks(spec.mechanism).observe(hook, program: spec.program(direction) ?? 0, isOurs: isOurs)
            } else if pins.exists(pins.link(id, direction)) {
                let isMacvtap = spec?.interface.isMacvtap ?? false
                let hook = AttachmentHook(id: id, direction, HookPoint(direction, ifindex: id.ifindex, isMacvtap: isMacvtap), filter: nil)
                observed[direction] = try tcx.observe(hook, program: nil, isOurs: isOurs)
            } else if let spec, spec.mechanism == .clsact, let program = try openProgram(id, direction) {
                let hook = try clsact.observe(AttachmentHook(spec, direction), program: program.programID(), isOurs: isOurs)
                if case .attached = hook { observed[direction] = hook }
            }
        }
        let isCurrent = try spec.map { try $0.build == TapProgram.build && worksOnPinnedMaps($0, shared) } ?? false
        let needsClsact = spec.map { spec in
            spec.mechanism == .clsact && FilterQdisc(for: spec.options.direction.directions.map(spec.hookPoint)) == .clsact
        }
        return ObservedAttachment(
            id: id, spec: spec, hooks: observed, isCurrentBuild: isCurrent, excludesLimits: needsClsact ?? false,
            isForeign: spec == nil ? try specs.isForeign(id) : false)
    }

    /// The ids of all programs of ours that may run on a device: those of specs, and those pinned.
    func readProgramIDs(on ifindex: UInt32) throws -> Set<UInt32> {
        try pins.attachmentIDs().filter { try $0.ifindex == ifindex && pins.has($0) }.reduce(into: []) {
            $0.formUnion(try readProgramIDs($1, try specs.read($1)))
        }
    }

    // MARK: Filters that were lost

    /// Removes the filters of ours that no pin tells of any more: they would copy for ever, and uncounted.
    private func removeOrphanFilters() throws {
        for ifindex in try TrafficControl.readFilterDevices(kernel) { try removeOrphanFilters(on: ifindex) }
    }

    func removeOrphanFilters(on ifindex: UInt32) throws {
        // Pins only where there is a filter to ask about. They are read after it: a filter's program is pinned first.
        let filters = try clsact.readOwnFilters(ifindex)
        guard !filters.isEmpty else { return }
        let programs = try readProgramIDs(on: ifindex)
        for filter in filters where !programs.contains(filter.program) { try clsact.remove(filter) }
    }

    // MARK: Maps that were lost

    /// The pin of a map may be removed, and another map be pinned there: programs go on with theirs, where nobody sees
    /// what they count, and nobody can tell them where a destination has gone.
    private func worksOnPinnedMaps(_ spec: AttachmentSpec, _ shared: SharedMaps?) throws -> Bool {
        guard let shared, let counters = try kernel.open(pins.counters(spec.key.id), CLIBBPF_MAP) else { return false }
        var maps = try shared.ids(kernel).union([kernel.mapInfo(counters).id])
        if spec.options.rate != nil {
            guard let rate = try kernel.open(pins.rate(spec.key.id), CLIBBPF_MAP) else { return false }
            maps.insert(try kernel.mapInfo(rate).id)
        }
        if spec.options.once { maps.insert(try kernel.mapInfo(shared.lastCopies).id) }
        if spec.needsRelay, try !relay.isInstalled(with: shared) { return false }
        return try spec.options.direction.directions.allSatisfy { direction in
            guard let program = try openProgram(spec.key.id, direction) else { return false }
            return try program.programID() == spec.program(direction) && maps.isSubset(of: kernel.maps(of: program))
        }
    }

    private func openSharedMaps() throws -> SharedMaps? { try SharedMaps.open(pins, create: false)?.maps }

    /// The pinned counters, unless the pinned programs of this attachment count with others.
    func openCounters(_ id: AttachmentID) throws -> KernelObject? {
        guard let counters = try kernel.open(pins.counters(id), CLIBBPF_MAP) else { return nil }
        let info = try kernel.mapInfo(counters)
        guard MapLayout.counters.fits(info) else { return nil }
        let map = info.id
        let programs = try Direction.allCases.compactMap { try openProgram(id, $0) }
        return try programs.isEmpty || programs.contains { try kernel.maps(of: $0).contains(map) } ? counters : nil
    }

    public func counters(of id: AttachmentID) throws(Failure) -> [Direction: DirectionCounters] {
        try reporting("reading the counters of attachment \(id)") {
            guard let spec = try specs.read(id), let map = try kernel.open(pins.counters(id), CLIBBPF_MAP),
                try MapLayout.counters.fits(kernel.mapInfo(map))
            else { return [:] }
            let counters = CounterMap(object: map, kernel: kernel)
            return try spec.options.direction.directions.reduce(into: [:]) { $0[$1] = try counters.direction($1) }
        }
    }
}
