// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// The work loop: what was asked for is done one step after the other, and libvirt is asked beside it.
extension Reconciler {
    /// Asks for `item`, not before `delay` seconds from now.
    func request(_ item: WorkQueue.Item, after delay: Double = 0) {
        schedule.request(item, at: clock.monotonic(), after: delay)
        wakeup.wake()
    }

    /// Does what was asked for, until `stop` or until the task is cancelled.
    func run() async {
        await withTaskCancellationHandler {
            await work()
        } onCancel: {
            Task { await stop() }
        }
    }

    private func work() async {
        while !isStopped {
            switch schedule.next(at: clock.monotonic()) {
            case .reconcile(let uuid):
                await reconcile(uuid)
                noteReconciled(uuid)
            case .summarize:
                logSummary()
            case .run(let item):
                await run(item)
            case .wait(let until):
                await sleep(seconds: until - clock.monotonic())
            case .idle:
                await wakeup.wait()
            }
        }
    }

    private func run(_ item: WorkQueue.Item) async {
        switch item {
        case .all:
            resynchronize()
            await watchMarks()
            request(.all, after: Double(configuration.value.resyncInterval))
        case .domain(let uuid):
            refreshDomain(uuid)
        case .sweep:
            request(.sweep, after: await sweep())
        case .paths:
            let start = clock.monotonic()
            refreshPaths(isConfirming: schedule.isConfirmationDue(at: start))
            // A thousand other machines take 0.1 s, and each neighbour among them is an event when it is asked.
            let now = clock.monotonic()
            schedule.tookTime(for: .paths, at: now, seconds: now - start)
            if !underlay.paths.isEmpty { request(.paths, after: Schedule.confirmInterval) }
        case .volume:
            measureCopies()
            if configuration.value.limit != nil { request(.volume, after: CopyBreaker.interval) }
        case .overdue:
            reportOverdue()
        }
    }

    /// Sleeps until the time is up or something is asked for.
    private func sleep(seconds: Double) async {
        let alarm = Task {
            try? await Task.sleep(for: .seconds(seconds))
            if !Task.isCancelled { wakeup.wake() }
        }
        await wakeup.wait()
        alarm.cancel()
    }

    /// Whether a domain is being read or reconciled, or will be in a moment.
    var isWorkDue: Bool {
        let now = clock.monotonic()
        return schedule.isDomainDue(at: now) || filters.isResultDue(at: now)
    }

    private func noteReconciled(_ uuid: DomainUUID) {
        guard let known = domains[uuid], known.view.isRunning else { return hookRecord.forgetRun(of: uuid) }
        if known.isArriving { noteArrival(of: uuid) }
        domains.arrived(uuid)
    }

    /// Logs how reading everything ended, unless that is what the time before found: a host where nothing happens is silent.
    private func logSummary() {
        let states = domains.running.values.flatMap { tapStates.states(of: $0.view.uuid) }
        let active = states.count { $0 == .active }
        let rest = active == states.count ? "" : ", \(states.count - active) not: see `virt-tap status`"
        let text = "looked at every domain: \(active) tap(s) active\(rest)"
        logger.log(level: resyncLog.isNews(text) ? .info : .debug, "\(text)")
    }

    /// Reconciles a domain when its turn comes.
    func enqueue(_ uuid: DomainUUID) {
        schedule.enqueue(uuid)
        wakeup.wake()
    }

    /// Asks libvirt for one domain, beside the work loop: another program's hook may hold that domain for long.
    private func refreshDomain(_ uuid: DomainUUID) {
        guard schedule.beginReading(.domain(uuid)) else { return request(.domain(uuid), after: WorkQueue.interval) }
        let now = clock.monotonic()
        Task {
            do {
                let snapshot = try await source.domain(uuid)
                if let snapshot { record(snapshot, asked: now) } else { recordAbsence(uuid, asked: now) }
            } catch {
                logger.debug("\(label(uuid)): not read: \(error)")
                if domains.isConnected { request(.domain(uuid), after: 5) }
            }
            if let live = domains[uuid]?.view.live {
                refreshDevices(of: live)
                prove(uuid)
                refreshDestinations(in: uuid)
            }
            schedule.endReading(.domain(uuid))
            enqueue(uuid)
        }
    }

    /// Reads everything again: after a connection, at a reload, and once in a while in case something was missed.
    private func resynchronize() {
        refreshDevices()
        refreshAttachments()
        keepPorts(isComplete: true)
        refreshPaths(isConfirming: false)
        pathsChanged()
        refreshDestinations()
        for attachment in attachments.all where attachment.spec == nil {
            if attachment.isOfLaterVersion { leaveAlone(attachment) } else { execute(.detach(attachment.id, why: "it is half made")) }
        }
        forgetUnusedDestinations()
        forgetUnusedFilters()
        guard domains.isConnected, schedule.beginReading(.all) else { return enqueueTapped() }
        let now = clock.monotonic()
        Task {
            do {
                let snapshots = try await source.domains()
                refreshDevices()
                for snapshot in snapshots { record(snapshot, asked: now) }
                domains.listed()
                // Not before all of them are known: two may name one device.
                for snapshot in snapshots { prove(snapshot.uuid) }
                resyncLog.listed()
                refreshDestinations()
                // What is not in the list is asked for one by one: a list alone is no evidence that a domain is gone.
                let listed = Set(snapshots.map(\.uuid))
                for uuid in Set(domains.all.keys).union(attachments.domains) where !listed.contains(uuid) { request(.domain(uuid)) }
            } catch {
                let text = "domains not listed: \(error)"
                logger.log(level: resyncLog.isNewFailure(text) ? .warning : .debug, "\(text)")
                if domains.isConnected { request(.all, after: 5) }
            }
            schedule.endReading(.all)
            schedule.summarizeAtEnd()
            enqueueTapped()
        }
    }

    /// What a later version attached goes on: this one does not know what for, and a downgrade is no evidence that nobody wants it.
    private func leaveAlone(_ attachment: ObservedAttachment) {
        guard !attachment.isDead else { return execute(.collect(attachment.id)) }
        guard attachments.isNewForeign(attachment.id) else { return }
        let domain = domains.all.keys.first { $0.hex == attachment.id.domain }.map(label) ?? "the domain with UUID \(attachment.id.domain)"
        let device = devices[attachment.id.ifindex]?.name.printable ?? "ifindex \(attachment.id.ifindex)"
        let what = "a later version of virt-tap attached something to \(device) (attachment \(attachment.id)) that this one cannot read"
        logger.warning(
            "\(domain): \(what): it is left alone, and copies until the guest stops. That version shows what it is; `virt-tap purge` ends it"
        )
    }

    /// Has every domain reconciled that has taps, or is tapped.
    private func enqueueTapped() {
        for (uuid, known) in domains.all where !known.view.verdicts.isEmpty || known.view.live?.taps.isEmpty == false { enqueue(uuid) }
        for uuid in attachments.domains { enqueue(uuid) }
        wakeup.wake()
    }
}

/// What the log has of readings of everything: the same is not logged again at each.
struct ResyncLog {
    private var summary = ""
    private var failure: String?

    /// Whether this summary is not the one before; it counts as logged.
    mutating func isNews(_ text: String) -> Bool {
        defer { summary = text }
        return text != summary
    }

    /// Whether domains could be listed the last time, or not for another reason; this one counts as logged.
    mutating func isNewFailure(_ text: String) -> Bool {
        defer { failure = text }
        return text != failure
    }

    /// Domains can be listed.
    mutating func listed() { failure = nil }
}
