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
            // An attachment that went meanwhile was detached by somebody, and is not a half-made one.
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
        return try reporting("checking attachment \(attachment.id)", needsPins: false) {
            try attachment.hooks.allSatisfy { direction, former -> Bool in
                // A hook that was not attached before cannot be disturbed.
                guard case .attached(let position, _) = former, let program = spec.program(direction) else { return true }
                let hook = AttachmentHook(spec, direction)
                switch spec.mechanism {
                case .tcx:
                    // This is one system call, and opens no pin.
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

    /// Reads whether the relay is installed. All attachments share one relay, so an answer of the same half second is used again.
    private func isRelayInstalled() throws(Failure) -> Bool {
        try reporting("checking the relay", needsPins: false) {
            let tick = KernelClock.nanoseconds(CLOCK_MONOTONIC) / 500_000_000
            if let recent = recentRelayCheck, recent.tick == tick { return recent.isInstalled }
            let isInstalled = try openSharedMaps().map { try relay.isInstalled(with: $0) } ?? false
            recentRelayCheck = (tick, isInstalled)
            return isInstalled
        }
    }

    /// Reads the state of one attachment.
    /// - Parameter shared: the pinned maps that all attachments share; `nil` if one is lost.
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
            isOfLaterVersion: spec == nil ? try specs.isOfLaterVersion(id) : false)
    }

    /// Reads the ids of all programs of ours that may run on a device: those in specs, and those that are pinned.
    func readProgramIDs(on ifindex: UInt32) throws -> Set<UInt32> {
        try pins.attachmentIDs().filter { try $0.ifindex == ifindex && pins.has($0) }.reduce(into: []) {
            $0.formUnion(try readProgramIDs($1, try specs.read($1)))
        }
    }

    // MARK: Filters that were lost

    /// Removes our filters that no pin records any more: they would copy for ever, and uncounted.
    private func removeOrphanFilters() throws {
        for ifindex in try TrafficControl.readFilterDevices(kernel) { try removeOrphanFilters(on: ifindex) }
    }

    func removeOrphanFilters(on ifindex: UInt32) throws {
        // Pins are read only where there is a filter, and after the filters, since a filter's program is pinned before it is attached.
        let filters = try clsact.readOwnFilters(ifindex)
        guard !filters.isEmpty else { return }
        let programs = try readProgramIDs(on: ifindex)
        for filter in filters where !programs.contains(filter.program) { try clsact.remove(filter) }
    }

    // MARK: Maps that were lost

    /// Reads whether the programs use the pinned maps. Where the pin of a map was removed or replaced, programs go on with the former map:
    /// nobody sees what they count, and destinations can no longer be changed for them.
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

    /// Opens the pinned counters, unless the pinned programs of this attachment use others.
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
