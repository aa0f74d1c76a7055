// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// What the kernel side looks like as a whole: devices, destinations, and whether it can be used at all.
extension Reconciler {
    /// Reads the host's devices. After an error the last known ones stand.
    func refreshDevices() {
        do {
            devices = DeviceTable(try dataplane.devices())
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Reads everything that is pinned. After an error the last known stand: nothing can be attached then, but what is
    /// wished is looked at all the same, since status has to say why it fails.
    func refreshAttachments() {
        do {
            try dataplane.claim()
            attachments = AttachmentTable(try dataplane.attachments())
            if kernelTrouble != nil { logger.notice("the kernel side can be used again") }
            kernelTrouble = nil
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Looks at every attachment for what somebody else removed. - Returns: seconds until it is done again.
    ///
    /// The kernel tells nobody when a link is detached, so it is asked: about once a second, and less often where there
    /// is so much to ask about that it would cost more than one per cent of a processor. Time that it waits (for RTNL, which
    /// others hold, or for a processor) does not count: then it would not look when the host is busy.
    func sweep() -> Double {
        let start = clock.processor()
        for last in attachments.all {
            guard let uuid = last.spec?.key.domain else { continue }
            do throws(Failure) {
                if last.isRemoved(by: try dataplane.attachment(last.id)) { request(.domain(uuid)) }
            } catch {
                noteKernelTrouble(error)
                break
            }
        }
        return max(1, (clock.processor() - start) * 100)
    }

    func noteKernelTrouble(_ failure: Failure) {
        if kernelTrouble != failure { logger.error("\(failure.message)", metadata: ["reason": "\(failure.reason.rawValue)"]) }
        kernelTrouble = failure
    }

    // MARK: - Destinations

    /// Tells the destination map where copies for this domain's taps go.
    ///
    /// - Parameter anew: also what it was told before, since somebody may have removed the map meanwhile.
    func setDestinations(of uuid: DomainUUID, anew: Bool = false) {
        for verdict in domains[uuid]?.view.verdicts ?? [] where !verdict.desired.isEmpty {
            if case .evaluated(let destination, _) = verdict.outcome { set(destination, anew: anew) }
        }
    }

    /// Looks again at every destination that something is attached for, also before libvirt has answered.
    func refreshDestinations() {
        let host = hostState
        let labels = Set(attachments.all.compactMap { $0.spec?.wish.destination })
        for definition in configuration.value.destinations where labels.contains(definition.name.text) {
            if case .success(let verdict) = DestinationEvaluation.evaluate(definition, host: host) { set(verdict) }
        }
        for (uuid, known) in domains where known.view.isRunning && !known.view.verdicts.isEmpty {
            evaluate(uuid)
            setDestinations(of: uuid)
        }
    }

    private func set(_ verdict: DestinationVerdict, anew: Bool = false) {
        let before = destinations[verdict.label]
        guard before != verdict || anew else { return }
        do {
            if anew || before?.ifindex != verdict.ifindex || before?.kind != verdict.kind {
                try dataplane.setDestination(verdict.label, kind: verdict.kind, ifindex: verdict.ifindex)
            }
            destinations[verdict.label] = verdict
            guard before?.failure != verdict.failure else { return }
            switch (before?.failure, verdict.failure) {
            case (_, let failure?): logger.warning("\(failure.message)", metadata: ["reason": "\(failure.reason.rawValue)"])
            case (.some, nil): logger.notice("destination \(verdict.label) takes copies again")
            case (nil, nil): break
            }
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Frees the places of destinations that nothing uses and the configuration does not define.
    func forgetUnusedDestinations() {
        let used = Set(attachments.all.compactMap { $0.spec?.wish.destination })
            .union(configuration.value.destinations.map(\.name.text))
            .union(domains.values.flatMap { $0.view.verdicts.flatMap(\.desired).map(\.wish.destination) })
        guard let records = try? dataplane.destinations() else { return }
        for record in records where !used.contains(record.label) {
            try? dataplane.forgetDestination(record.label)
            destinations[record.label] = nil
        }
    }
}
