// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// One domain's attachments: refresh what is known, decide, execute.
extension Reconciler {
    /// What evaluation needs to know of the host. Asks the kernel how programs are attached here; the rest was read before.
    func readHost() -> HostState {
        HostState(
            configuration: configuration.value, devices: devices, claims: domains.claims, directory: domains.directory,
            paths: underlay.paths,
            specificRoutes: underlay.specificRoutes, ports: ports.ports, overloads: destinations.overloads,
            mechanism: Result { () throws(Failure) in try dataplane.mechanism(for: configuration.value.mechanism) },
            isPaused: configuration.isPaused,
            filters: filters.results, refusedOptions: filters.refusedOptions, unconfigured: configuration.missing)
    }

    /// Evaluates a domain's taps again, and starts to compile a filter that they wait for.
    func evaluate(_ uuid: DomainUUID, on host: HostState) {
        guard let known = domains[uuid] else { return }
        domains.setVerdicts(known.view.live.map { TapEvaluation.evaluate($0, on: host) } ?? [], of: uuid)
        compileFilters(of: uuid)
    }

    /// Brings one domain's attachments to the desired state, with a pause after each action so that others get at RTNL and
    /// the hook gets in between.
    func reconcile(_ uuid: DomainUUID) async {
        guard !schedule.isInHook(uuid) else { return request(.domain(uuid), after: WorkQueue.interval) }
        await reconcile(uuid, until: .infinity) { took in
            // The kernel held RTNL for most of that time: leave it to others for half as long again.
            try? await Task.sleep(for: .seconds(min(max(took / 2, 0.001), 0.05)))
            return !self.schedule.isInHook(uuid)
        }
    }

    /// The same without pauses, for a guest that stands still until it is done; other guests' hooks take turns with it.
    ///
    /// - Parameter deadline: monotonic seconds; what is not done by then is left to the work loop.
    func reconcileAtOnce(_ uuid: DomainUUID, until deadline: Double) async {
        schedule.beginHook(for: uuid)
        defer { schedule.endHook(for: uuid) }
        await reconcile(uuid, until: deadline) { _ in
            await Task.yield()
            return true
        }
    }

    /// Refreshes, decides and executes; decides afresh when something changed meanwhile, and at the end, until nothing is
    /// left that was not tried.
    ///
    /// - Parameter pause: called after each action with the seconds that it took; `false` ends it.
    private func reconcile(_ uuid: DomainUUID, until deadline: Double, pause: (Double) async -> Bool) async {
        var done: Set<Action> = []
        planning: while true {
            let (host, observed) = refresh(uuid)
            let plan = decide(uuid, host, observed)
            note(plan, for: uuid)
            if plan.needsDestinations { writeDestinations(of: uuid) }
            let actions = plan.actions.filter { !done.contains($0) }
            if actions.isEmpty { break }
            let decided = generation
            for action in actions {
                let start = clock.monotonic()
                guard !isStopped, start < deadline else {
                    request(.domain(uuid))
                    break planning
                }
                done.insert(action)
                execute(action)
                schedule.changedKernel(for: uuid, at: clock.monotonic())
                guard await pause(clock.monotonic() - start) else { break planning }
                if decided != generation { break }
            }
        }
        noteStates(of: uuid)
    }

    // MARK: - Refresh

    /// Reads what a plan for this domain depends on: ways to other machines that nobody has asked for yet, the host and its own
    /// attachments. Verdicts on its taps are those of the host that is returned.
    private func refresh(_ uuid: DomainUUID) -> (host: HostState, observed: [ObservedAttachment]) {
        readMissingPaths(of: uuid)
        prove(uuid)
        var host = readHost()
        evaluate(uuid, on: host)
        let observed = refreshAttachments(of: uuid)
        // What has the number of a device that is gone is another.
        let gone = observed.filter(\.isDead).compactMap(\.spec?.key.ifindex)
        if domains.forgetProofs(of: gone, in: uuid) {
            prove(uuid)
            host = readHost()
            evaluate(uuid, on: host)
        }
        return (host, observed)
    }

    /// Reads this domain's attachments, those that are known and those that are desired. Of one that was as it is desired
    /// only its position in the hook's chain is read: the rest is for resynchronize.
    private func refreshAttachments(of uuid: DomainUUID) -> [ObservedAttachment] {
        let all = domains[uuid]?.view.verdicts.flatMap(\.desired) ?? []
        let desired = Dictionary(all.map { ($0.key.id, $0) }) { first, _ in first }
        return Set(attachments.of(uuid).map(\.id)).union(desired.keys).compactMap { id -> ObservedAttachment? in
            let last = attachments[id]
            do throws(Failure) {
                if let last, let desired = desired[id], last.satisfies(desired), try dataplane.isUndisturbed(last) { return last }
                let now = try dataplane.attachment(id)
                if let last, last.isRemoved(by: now) {
                    logger.warning("\(describe(id)): somebody removed the tap's program")
                    attachments.removed(id, at: clock.monotonic())
                } else if let last, let now, let desired = desired[id], last.satisfies(desired), !now.satisfies(desired) {
                    logger.warning("\(describe(id)): somebody removed or changed what its copies need (pins, or virt-tap's own devices)")
                }
                attachments[id] = now
                return now
            } catch {
                noteKernelTrouble(error)
                return last
            }
        }
    }

    // MARK: - Decide

    private func decide(_ uuid: DomainUUID, _ host: HostState, _ observed: [ObservedAttachment]) -> DomainPlan {
        let now = clock.monotonic()
        return DomainPlan(domains[uuid]?.view, isAbsent: domains.isAbsent(uuid), observed: observed, host: host) {
            attachments.mayRestore($0, at: now)
        }
    }

    /// Notes for status what a plan says of failures, and when what it holds back is tried again.
    private func note(_ plan: DomainPlan, for uuid: DomainUUID) {
        // An attachment that needs no step has not failed, whatever was noted before.
        if plan.isDecided { attachments.forgetFailures(of: uuid, but: plan.ids) }
        for action in plan.heldBack {
            guard let desired = action.desired else { continue }
            attachments.failed(
                action.id,
                Failure(
                    .detachedRepeatedly,
                    "something on this host removes the tap's program from \(desired.interface.device.printable) again and again; it is put "
                        + "back every \(Int(RemovalHistory<AttachmentID>.window / 60)) minutes. Find what detaches TCX or tc programs there"
                ))
            request(.domain(desired.key.domain), after: RemovalHistory<AttachmentID>.window)
        }
    }

    // MARK: - Execute

    /// Executes one action and notes how it went.
    func execute(_ action: Action) {
        switch action {
        case .attach(let desired):
            attachments.restored(desired.key.id, at: clock.monotonic())
            attempt(desired) { () throws(Failure) in try dataplane.attach(desired, at: clock.wall()) }
        case .replace(let desired, let restored):
            if !restored.isEmpty { attachments.restored(desired.key.id, at: clock.monotonic()) }
            attempt(desired) { () throws(Failure) in try dataplane.replace(desired, at: clock.wall()) }
            detachUndesired(desired)
            if !restored.isEmpty, attachments.failures[desired.key.id] == nil { logger.notice("\(describe(desired)): put back") }
        case .detach(let id, let why):
            logger.info("\(describe(id)): detached: \(refusal(of: id) ?? why)")
            detach(id)
        case .collect(let id):
            logger.info("\(describe(id)): its device is gone")
            detach(id)
        }
    }

    /// Attaches or replaces, and notes how it went.
    private func attempt(_ desired: DesiredAttachment, _ work: () throws(Failure) -> Void) {
        let id = desired.key.id
        do {
            try work()
            attachments[id] = try dataplane.attachment(id)
            attachments.succeeded(id)
        } catch {
            // Most messages name the tap themselves.
            let isNamed = error.message.hasPrefix("tap \"\(desired.key.tap)\" of \(desired.domainName) ")
            if log(error, of: id, isNamed ? error.message : "\(describe(desired)): \(error.message)") {
                for line in dataplane.lastVerifierLog?.split(separator: "\n") ?? [] {
                    logger.debug("\(describe(desired)): the verifier: \(line)")
                }
            }
            attachments.failed(id, error)
            attachments[id] = try? dataplane.attachment(id)
            if error.reason == .deviceGone { refreshDevices() }
            if error.reason == .filterTooLarge { return refuse(desired.options, error) }
            request(.domain(desired.key.domain), after: 10)
        }
    }

    /// Logs a failure that the log does not have yet. - Returns: whether it did.
    @discardableResult
    private func log(_ failure: Failure, of id: AttachmentID, _ text: String) -> Bool {
        guard attachments.isNews(failure, of: id) else { return false }
        logger.error("\(text)", metadata: ["reason": "\(failure.reason.rawValue)"])
        return true
    }

    /// Ends what was copied before where another choice is desired and could not be attached: it is not asked for any more, and may be more
    /// than what is.
    private func detachUndesired(_ desired: DesiredAttachment) {
        let id = desired.key.id
        guard let failure = attachments.failures[id], let options = attachments[id]?.spec?.options, !options.copiesSame(as: desired.options)
        else { return }
        logger.warning("\(describe(desired)): what it copied before is no longer asked for; it copies nothing")
        detach(id)
        attachments.failed(id, failure)
        _ = attachments.isNews(failure, of: id)
    }

    private func detach(_ id: AttachmentID) {
        let uuid = attachments[id]?.spec?.key.domain
        do {
            try dataplane.detach(id)
            attachments.detached(id)
            if let uuid, domains[uuid] == nil, attachments.of(uuid).isEmpty { _ = domains.claim([], for: uuid) }
        } catch {
            log(error, of: id, "\(describe(id)): not removed: \(error.message)")
            if let uuid { request(.domain(uuid), after: 10) }
        }
    }

    /// Why the tap of an attachment is not to be there, where it is still desired.
    private func refusal(of id: AttachmentID) -> String? {
        guard let key = attachments[id]?.spec?.key,
            let verdict = domains[key.domain]?.view.verdicts.first(where: { $0.entry.name == key.tap })
        else { return nil }
        switch verdict.outcome {
        case .refused(let failure): return failure.description
        case .evaluated(_, let interfaces):
            let mac = attachments[id]?.spec?.interface.mac
            return interfaces.lazy.compactMap { verdict -> String? in
                if case .refused(let failure) = verdict.result, verdict.interface.mac == mac { failure.description } else { nil }
            }.first
        }
    }

    private func describe(_ desired: DesiredAttachment) -> String {
        describe(desired.domainName, desired.key.tap, desired.interface)
    }

    private func describe(_ id: AttachmentID) -> String {
        guard let spec = attachments[id]?.spec else { return "attachment \(id)" }
        return describe(spec.domainName, spec.key.tap, spec.interface)
    }

    private func describe(_ domain: String, _ tap: TapName, _ interface: AttachedInterface) -> String {
        "\(domain.printable): tap \(tap) on \(interface.alias?.printable ?? interface.mac.description) (\(interface.device.printable))"
    }
}
