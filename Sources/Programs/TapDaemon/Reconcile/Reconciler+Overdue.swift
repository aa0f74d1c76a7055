// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import Logging
import TapModel
import TapXML

/// What should have been called and was not, and what was there and is gone.
extension Reconciler {
    /// libvirt reports that a domain was started here.
    func started(_ uuid: DomainUUID, comesFromElsewhere: Bool) {
        if comesFromElsewhere { tapLosses.forget(uuid) }
        guard LibvirtURI.callsHook(identity.uri) else { return }
        hookRecord.started(uuid, at: clock.monotonic())
        requestOverdue()
    }

    /// The hook was called for a domain that starts, or for one that runs or stops.
    /// - Parameter isKnown: whether it is one of the libvirt that is listened to: another's calls say nothing of this one.
    func hookCalled(for uuid: DomainUUID, _ operation: HookOperation?, isKnown: Bool) {
        if operation == .start { domains.setUncalledStart(nil, of: uuid) }
        hookRecord.called(for: uuid, operation, at: clock.monotonic())
        if isKnown { noteHookCalls() }
    }

    private func noteHookCalls() {
        if hookRecord.isCalled() { logger.notice("libvirt calls the hook") }
    }

    /// Somebody wrote metadata of a domain.
    func metadataWritten(_ uuid: DomainUUID, namespace: String) {
        if namespace == MetadataXML.namespace { tapLosses.written(uuid, at: clock.monotonic()) }
    }

    /// Compares the taps that a domain has with those that it had.
    func noteTaps(of known: KnownDomain, _ snapshot: DomainSnapshot, asked: Double) {
        func names(_ definition: DomainDefinition?) -> Set<TapName>? { definition.map { Set($0.taps.map(\.name)) } }
        let view = known.view
        // With its taps; it may come back without.
        if snapshot.hasMigratedAway { tapLosses.forget(view.uuid) }
        let sight = TapLossWatch.Sight(
            name: view.name, isRunning: view.isRunning, isPersistent: snapshot.isPersistent, live: view.isRunning ? names(view.live) : [],
            persistent: snapshot.isPersistent ? names(view.persistent) : nil)
        tapLosses.take(sight, of: view.uuid, asked: asked)
        requestOverdue()
    }

    /// Asks for a judgement of what is not explained yet, when its time is up.
    private func requestOverdue() {
        guard let next = [hookRecord.nextJudgement, tapLosses.nextLoss].compactMap({ $0 }).min() else { return }
        request(.overdue, after: max(0, next - clock.monotonic()))
    }

    /// Logs what was waited for and did not come.
    func reportOverdue() {
        let now = clock.monotonic()
        for verdict in hookRecord.judge(at: now) { note(verdict, now) }
        for loss in tapLosses.due(at: now) { report(loss) }
        requestOverdue()
    }

    private func note(_ verdict: HookWatch.Verdict, _ now: Double) {
        guard !verdict.wasCalled else {
            logger.debug("\(label(verdict.domain)): the hook was called at its start")
            domains.setUncalledStart(nil, of: verdict.domain)
            return noteHookCalls()
        }
        let time = Timestamp(seconds: clock.wall().seconds - Int64((now - verdict.start).rounded()))
        // Unless it was started again since, of which nothing is known yet.
        if domains[verdict.domain]?.view.isRunning == true, !hookRecord.isJudging(verdict.domain) {
            domains.setUncalledStart(time, of: verdict.domain)
        }
        for tap in domains[verdict.domain]?.view.live?.taps ?? [] where tap.isRequired {
            logger.warning(
                "\(label(verdict.domain)): tap \(tap.name) is required, and the guest was started without a call of the hook: nothing would have held it",
                metadata: ["reason": "\(Reason.hookNotCalled.rawValue)"])
        }
        // A hook that is not installed has a warning of its own.
        guard isHookInstalled() else { return }
        let isNew = hookRecord.missed(domains[verdict.domain]?.view.name ?? "\(verdict.domain)", at: time)
        if isNew, let warning = uncalledHook {
            logger.warning("\(warning.message.printable)", metadata: ["reason": "\(warning.reason.rawValue)"])
        }
    }

    /// That libvirt does not call the hook, as far as is known.
    var uncalledHook: TapStatus.Warning? {
        guard let missed = hookRecord.missed, isHookInstalled() else { return nil }
        return TapStatus.Warning(
            reason: .hookNotCalled,
            message: "libvirt started \(missed.domain) at \(missed.time), and no call of the hook came, though it is installed: "
                + "required=\"yes\" keeps no guest from starting, and the first packets of a guest that starts are not copied. `virt-tap doctor` says what to do"
        )
    }

    /// Logs taps that are gone.
    private func report(_ loss: TapLossWatch.Loss) {
        let names = loss.taps.map(\.text).sorted().joined(separator: ", ")
        let (are, them) = loss.taps.count == 1 ? ("tap \(names) is", "it") : ("taps \(names) are", "them")
        let domain = loss.name.printable
        let cause =
            loss.isUnwatched
            ? "while virt-tapd was not connected to libvirt, somebody took \(them) away or wrote the definition anew"
            : "the definition was written anew without \(them), as virsh define, nova, Terraform and others do, or somebody took \(them) out of it, as with virsh edit"
        switch loss.kind {
        case .atNextStart:
            // It may have been destroyed since.
            let rest = domains[loss.domain]?.view.isRunning == true ? " What runs copies on." : ""
            logger.warning(
                "\(domain): \(are) gone from its next start on: \(cause).\(rest) If that is not meant, `virt-tap set --config` writes \(them) again"
            )
        case .atOnce:
            logger.warning("\(domain): \(are) gone: \(cause). If that is not meant, `virt-tap set` writes \(them) again")
        case .withTheRun:
            logger.notice("\(domain): \(are) gone with the guest's run: only the live definition had \(them)")
        }
    }
}
