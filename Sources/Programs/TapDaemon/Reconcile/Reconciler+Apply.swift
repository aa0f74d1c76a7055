// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// From verdicts to actions: fetch, plan, execute.
extension Reconciler {
    /// The host as evaluation sees it now.
    var hostState: HostState {
        HostState(
            configuration: configuration.value, devices: devices, claims: claims, directory: directory, paths: paths,
            specificRoutes: specificRoutes,
            ports: ports, overloads: breaker.failures,
            mechanism: Result { () throws(Failure) in try dataplane.mechanism(for: configuration.value.mechanism) }, isPaused: isPaused,
            filters: filters.results, refusedOptions: filters.refusedOptions, unconfigured: configuration.missing)
    }

    /// Decides anew what a domain's taps ask for, and has compiled what that depends on.
    func evaluate(_ uuid: DomainUUID, on host: HostState) {
        guard let known = domains[uuid] else { return }
        domains[uuid]?.view.verdicts = known.view.live.map { TapEvaluation.evaluate($0, on: host) } ?? []
        compileFilters(of: uuid)
    }

    /// Brings one domain's attachments to what is wished, with a pause after each action so that others get at RTNL and
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

    /// Plans, and carries the plan out; plans afresh when something changed meanwhile, and at the end, until nothing is
    /// left that was not tried.
    ///
    /// - Parameter pause: called after each action with the seconds that it took; `false` ends it.
    private func reconcile(_ uuid: DomainUUID, until deadline: Double, pause: (Double) async -> Bool) async {
        var done: Set<Action> = []
        planning: while true {
            let actions = plan(for: uuid).filter { !done.contains($0) }
            if actions.isEmpty { break }
            let planned = changes
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
                if planned != changes { break }
            }
        }
        noteStates(of: uuid)
    }

    /// The steps that are due now, from the kernel as it is.
    private func plan(for uuid: DomainUUID) -> [Action] {
        lookUpPaths(of: uuid)
        prove(uuid)
        var host = hostState
        evaluate(uuid, on: host)
        let observed = observe(uuid)
        // What has the number of a device that is gone is another.
        let gone = observed.filter(\.isDead).compactMap(\.spec?.key.ifindex)
        if gone.filter({ claims.forgetProof(of: $0, in: uuid) }).isEmpty == false {
            prove(uuid)
            host = hostState
            evaluate(uuid, on: host)
        }
        let evidence = DomainEvidence.of(domains[uuid]?.view, isAbsent: absent.contains(uuid), observed: observed, host: host)
        let plan = Planner.plan(evidence, observed: observed)
        // What needs no step has not failed, whatever was noted of it before.
        if evidence != .unknown { forgetFailures(of: uuid, but: Set(plan.map(\.id))) }
        holdBackFights(plan)
        if plan.contains(where: { $0.desired != nil }) { setDestinations(of: uuid) }
        return plan.filter { !isHeldBack($0) }
    }

    /// This domain's attachments, those that are known and those that are wished, looked up in the kernel now. Of one that
    /// was as it is wished only its place in the chain is looked at: the rest is for the look at everything.
    private func observe(_ uuid: DomainUUID) -> [ObservedAttachment] {
        let wishes = domains[uuid]?.view.verdicts.flatMap(\.desired) ?? []
        let wished = Dictionary(wishes.map { ($0.key.id, $0) }) { first, _ in first }
        return Set(attachments.of(uuid).map(\.id)).union(wished.keys).compactMap { id -> ObservedAttachment? in
            let last = attachments[id]
            do throws(Failure) {
                if let last, let options = wished[id], last.satisfies(options), try dataplane.isUndisturbed(last) { return last }
                let now = try dataplane.attachment(id)
                if let last, last.isRemoved(by: now) {
                    logger.warning("\(describe(id)): somebody removed the tap's program")
                    removals.removed(id, at: clock.monotonic())
                } else if let last, let now, let options = wished[id], last.satisfies(options), !now.satisfies(options) {
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

    /// Whether an action would only go on with a fight: see `RemovalHistory`.
    private func isHeldBack(_ action: Action) -> Bool {
        action.restores && !removals.mayRestore(action.id, at: clock.monotonic())
    }

    private func holdBackFights(_ plan: [Action]) {
        for action in plan where isHeldBack(action) {
            guard let desired = action.desired else { continue }
            failures[action.id] = Failure(
                .detachedRepeatedly,
                "something on this host removes the tap's program from \(desired.interface.device.printable) again and again; it is put back "
                    + "every \(Int(RemovalHistory<AttachmentID>.window / 60)) minutes. Find what detaches TCX or tc programs there")
            request(.domain(desired.key.domain), after: RemovalHistory<AttachmentID>.window)
        }
    }

    /// Carries out one action and notes how it went.
    func execute(_ action: Action) {
        switch action {
        case .attach(let desired):
            removals.restored(desired.key.id, at: clock.monotonic())
            perform(desired.key.id, desired) { () throws(Failure) in try dataplane.attach(desired, at: clock.wall()) }
        case .replace(let desired, let restored):
            if !restored.isEmpty { removals.restored(desired.key.id, at: clock.monotonic()) }
            perform(desired.key.id, desired) { () throws(Failure) in try dataplane.replace(desired, at: clock.wall()) }
            endWhatIsNotWished(desired)
            if !restored.isEmpty, failures[desired.key.id] == nil { logger.notice("\(describe(desired)): put back") }
        case .detach(let id, let why):
            logger.info("\(describe(id)): detached: \(refusal(of: id) ?? why)")
            remove(id)
        case .collect(let id):
            logger.info("\(describe(id)): its device is gone")
            remove(id)
        }
    }

    private func perform(_ id: AttachmentID, _ desired: DesiredAttachment, _ work: () throws(Failure) -> Void) {
        do {
            try work()
            attachments[id] = try dataplane.attachment(id)
            failures[id] = nil
            loggedFailures[id] = nil
        } catch {
            // Most messages name the tap themselves.
            let isNamed = error.message.hasPrefix("tap \"\(desired.key.tap)\" of \(desired.domainName) ")
            if log(error, of: id, isNamed ? error.message : "\(describe(desired)): \(error.message)") {
                for line in dataplane.lastVerifierLog?.split(separator: "\n") ?? [] {
                    logger.debug("\(describe(desired)): the verifier: \(line)")
                }
            }
            failures[id] = error
            attachments[id] = try? dataplane.attachment(id)
            if error.reason == .deviceGone { refreshDevices() }
            if error.reason == .filterTooLarge { return refuse(desired.options, error) }
            request(.domain(desired.key.domain), after: 10)
        }
    }

    /// Logs a failure that the log does not have yet. - Returns: whether it did.
    @discardableResult
    private func log(_ failure: Failure, of id: AttachmentID, _ text: String) -> Bool {
        guard loggedFailures.updateValue(failure, forKey: id) != failure else { return false }
        logger.error("\(text)", metadata: ["reason": "\(failure.reason.rawValue)"])
        return true
    }

    /// A wish that chooses otherwise and cannot be carried out: what was chosen before is not asked for any more, and may be
    /// more than what is.
    private func endWhatIsNotWished(_ desired: DesiredAttachment) {
        let id = desired.key.id
        guard failures[id] != nil, let options = attachments[id]?.spec?.options, !options.copiesSame(as: desired.options) else { return }
        let failure = failures[id]
        logger.warning("\(describe(desired)): what it copied before is no longer asked for; it copies nothing")
        remove(id)
        failures[id] = failure
        loggedFailures[id] = failure
    }

    private func remove(_ id: AttachmentID) {
        do {
            try dataplane.detach(id)
            let uuid = attachments[id]?.spec?.key.domain
            attachments[id] = nil
            failures[id] = nil
            loggedFailures[id] = nil
            removals.forget(id)
            if let uuid, domains[uuid] == nil, attachments.of(uuid).isEmpty { claims.set([], of: uuid) }
        } catch {
            log(error, of: id, "\(describe(id)): not removed: \(error.message)")
            if let uuid = attachments[id]?.spec?.key.domain { request(.domain(uuid), after: 10) }
        }
    }

    /// Why the tap of an attachment is not to be there, where it is still wished.
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

    private func forgetFailures(of uuid: DomainUUID, but kept: Set<AttachmentID>) {
        failures = failures.filter { $0.key.domain != uuid.hex || kept.contains($0.key) }
        loggedFailures = loggedFailures.filter { $0.key.domain != uuid.hex || kept.contains($0.key) }
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
