// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapHost
import TapModel

/// What `status` shows.
extension Reconciler {
    /// - Parameter patience: seconds to wait for work that is due about now, so that what was just set is shown as it is.
    func status(patience: Double = 0) async -> StatusDocument {
        let end = clock.monotonic() + patience
        while clock.monotonic() < end, isWorkDue { try? await Task.sleep(for: .milliseconds(20)) }
        let kernel = await kernelView()
        return document(kernel)
    }

    private func document(_ kernel: KernelView) -> StatusDocument {
        let builder = TapStatusBuilder(
            hostWarnings: hostWarnings, kernel: kernel, disconnected: domains.disconnected, devices: devices)
        var taps = domains.all.values.sorted { ($0.view.name, $0.view.uuid) < ($1.view.name, $1.view.uuid) }.flatMap {
            builder.taps(of: $0.view)
        }
        for (index, since) in tapStates.since(taps).enumerated() { taps[index].stateSince = since }
        taps += unknownTaps(builder.kernel)
        return StatusDocument(
            host: StatusDocument.Host(name: HostIdentity.name, kernel: HostIdentity.kernel, libvirt: domains.libvirtVersion),
            daemon: StatusDocument.Daemon(
                running: true, version: virtTapVersion, pid: identity.pid, uri: identity.uri, connected: domains.isConnected,
                complete: domains.directory.isComplete,
                since: identity.started,
                paused: configuration.isPaused, warnings: daemonWarnings),
            hook: StatusDocument.Hook(
                installed: isHookInstalled(), seen: hookRecord.lastCall, missed: isHookInstalled() ? hookRecord.missed?.time : nil),
            config: StatusDocument.Config(
                path: configuration.path, loaded: configuration.loaded, stale: configuration.problem != nil,
                message: configuration.problem?.description),
            taps: taps,
            destinations: destinationStatuses(builder.kernel.destinations))
    }

    /// Logs every tap whose state changed, and remembers since when it is in it.
    func noteStates(of uuid: DomainUUID) {
        guard let known = domains[uuid] else { return }
        let builder = TapStatusBuilder(hostWarnings: [], kernel: attachments.view(of: uuid))
        for (tap, isNew) in tapStates.note(builder.taps(of: known.view), of: uuid, at: clock.wall()) where known.view.isRunning || !isNew {
            let text = "\(known.view.name.printable): tap \(tap.name) is \(tap.state.rawValue)"
            if let reason = tap.reason {
                logger.log(
                    level: tap.state == .failed || tap.state == .degraded ? .warning : .info, "\(text)\(news(in: tap))",
                    metadata: ["reason": "\(reason.rawValue)"])
            } else {
                logger.notice("\(text), copying to \(tap.destination ?? "")")
            }
        }
    }

    /// A tap's message without what the log has already, of its attachments and of the configuration.
    private func news(in tap: TapStatus) -> String {
        var text = tap.message?[...] ?? ""
        let logged = attachments.loggedFailures(of: tap.uuid) + [configuration.missing].compactMap { $0 }
        for failure in logged {
            if let known = text.firstRange(of: failure.message) ?? text.firstRange(of: failure.explanation) { text.removeSubrange(known) }
        }
        text = text.drop { " .:;".contains($0) }
        while let last = text.last, " :;".contains(last) { text.removeLast() }
        return text.isEmpty ? "" : ": \(String(text).printable)"
    }

    private var hostWarnings: [TapStatus.Warning] {
        var warnings: [TapStatus.Warning] = []
        if !isHookInstalled() {
            warnings.append(
                TapStatus.Warning(
                    reason: .hookMissing,
                    message: "\(HookInstallation.path) is not installed: the first packets of a starting guest are not copied"))
        }
        if let problem = configuration.problem, configuration.missing == nil {
            warnings.append(
                TapStatus.Warning(
                    reason: .configStale, message: "the configuration file was changed and is not in force: \(problem.lines.first ?? "")"))
        }
        return warnings
    }

    /// Everything as the kernel has it now. Lets others in between: a guest's start does not wait for somebody's `status`.
    private func kernelView() async -> KernelView {
        var view = KernelView(attachments: [:], failures: [:])
        for (number, last) in attachments.all.enumerated() {
            if number % 32 == 31 { await Task.yield() }
            // Detached meanwhile.
            guard attachments[last.id] != nil else { continue }
            do throws(Failure) {
                let now = try dataplane.isUndisturbed(last) ? last : try dataplane.attachment(last.id)
                if now == nil, let uuid = last.spec?.key.domain { request(.domain(uuid)) }
                view.attachments[last.id] = now
            } catch {
                view.attachments[last.id] = last
                view.failures[last.id] = error
            }
            view.counters[last.id] = try? dataplane.counters(of: last.id)
            note(marksOf: last, view.counters[last.id])
        }
        view.marks = tapStates.marks
        view.failures.merge(attachments.failures) { now, _ in now }
        view.destinations = (try? dataplane.destinations()) ?? []
        return view
    }

    private func note(marksOf attachment: ObservedAttachment, _ counters: [Direction: DirectionCounters]?) {
        guard let spec = attachment.spec, let counters else { return }
        // What was there before this daemon may have counted for weeks.
        tapStates.note(attachment.id, spec.options.mark, counters, isNew: spec.since >= identity.started, at: clock.wall())
    }

    /// Logs, once as long as they come, that frames come with the mark of copies that are none: they are not copied.
    func watchMarks() async {
        for (number, attachment) in attachments.all.enumerated() {
            if number % 32 == 31 { await Task.yield() }
            note(marksOf: attachment, try? dataplane.counters(of: attachment.id))
        }
        tapStates.keepMarks(of: Set(attachments.all.map(\.id)))
        let own = Dictionary(attachments.all.map { ($0.id, $0) }) { first, _ in first }
        var view = KernelView(attachments: own, destinations: (try? dataplane.destinations()) ?? [])
        view.marks = tapStates.marks
        let builder = TapStatusBuilder(hostWarnings: [], kernel: view, devices: devices)
        var found: [(key: TapKey, domain: String, warning: TapStatus.Warning)] = []
        for (uuid, known) in domains.running {
            for verdict in known.view.verdicts {
                guard case .valid(let tap) = verdict.entry, let warning = builder.foreignMarks(verdict) else { continue }
                found.append((TapKey(domain: uuid, origin: tap.origin, name: tap.name), known.view.name, warning))
            }
        }
        let news = tapStates.newMarks(among: Set(found.map(\.key)))
        for (key, domain, warning) in found where news.contains(key) {
            logger.warning(
                "\(domain.printable): tap \(key.name): \(warning.message)", metadata: ["reason": "\(warning.reason.rawValue)"])
        }
    }

    /// Attachments that no tap of a known domain accounts for, since libvirt has not reported the domain (yet) or the tap
    /// was removed and could not be detached: they copy, so they are shown.
    private func unknownTaps(_ kernel: KernelView) -> [TapStatus] {
        var accounted: Set<AttachmentID> = []
        // What is kept for a tap that is not decided is shown with it.
        var undecided: Set<TapKey> = []
        for (uuid, known) in domains.all {
            for verdict in known.view.verdicts {
                accounted.formUnion(verdict.desired.map(\.key.id))
                guard known.view.isRunning, TapEvaluation.isUndecided(verdict), case .valid(let tap) = verdict.entry else { continue }
                undecided.insert(TapKey(domain: uuid, origin: tap.origin, name: tap.name))
            }
        }
        var unknown = kernel
        unknown.attachments = kernel.attachments.filter { id, attachment in
            guard !accounted.contains(id), let key = attachment.spec?.key else { return false }
            return !undecided.contains(TapKey(domain: key.domain, origin: key.origin, name: key.tap))
        }
        return StatusDocument.pinnedTaps(unknown, devices: devices)
    }

    private func destinationStatuses(_ records: [DestinationRecord]) -> [DestinationStatus] {
        // What the kernel's map has is all that is known.
        if configuration.missing != nil { return StatusDocument.pinnedDestinations(KernelView(destinations: records), devices: devices) }
        let host = readHost()
        let byLabel = Dictionary(records.map { ($0.label, $0) }, uniquingKeysWith: { first, _ in first })
        var inline: [String: DestinationVerdict] = [:]
        for verdict in domains.all.values.flatMap(\.view.verdicts) {
            if case .valid(let tap) = verdict.entry, case .inline = tap.destination, case .evaluated(let found, _) = verdict.outcome {
                inline[found.label] = found
            }
        }
        var sources: [String: [CopySource]] = [:]
        for attachment in attachments.all {
            guard let spec = attachment.spec, let device = host.devices[spec.key.ifindex],
                let source = CopySource(device, snaplen: spec.options.snaplen)
            else { continue }
            sources[spec.options.destination, default: []].append(source)
        }
        return configuration.value.destinations.map {
            DestinationStatus($0, on: host, record: byLabel[$0.name.text], sources: sources[$0.name.text] ?? [])
        }
            + inline.values.sorted { $0.label < $1.label }.map { DestinationStatus($0, on: host, record: byLabel[$0.label]) }
    }
}
