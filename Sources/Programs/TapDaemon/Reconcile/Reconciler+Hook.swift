// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapControl
import TapModel
import TapXML

/// What the qemu hook asks for. libvirt holds the domain's lock and the guest waits, so nothing here asks libvirt and
/// nothing waits for anything but the kernel and, briefly, for filters.
extension Reconciler {
    /// Answers one call of the hook.
    ///
    /// - Parameters:
    ///   - operation: libvirt's name of the operation: `prepare`, `start`, `started`, `stopped`, `release`, `migrate`, `restore`,
    ///     `reconnect`, `attach`.
    ///   - xml: the domain's XML as libvirt gave it to the hook.
    /// - Returns: whether libvirt may go on, and lines for the hook's standard error. Only at `start`, when the devices
    ///   exist and the guest does not run yet, is a domain refused.
    func hook(operation: String, xml: [UInt8]) async -> HookAnswer {
        hookRecord.called(at: clock.wall())
        let known = HookOperation(rawValue: operation)
        let definition: DomainDefinition
        switch parseDomain(xml) {
        case .failure(let failure):
            // It was called all the same.
            if let uuid = DomainXML.uuid(in: xml) { hookCalled(for: uuid, known, isKnown: domains[uuid]?.isLibvirts == true) }
            logger.error("hook \(operation.printable): \(failure.message)")
            return HookAnswer(allow: true, lines: [failure.description])
        case .success(let parsed):
            definition = parsed
        }
        logger.debug("hook \(operation.printable) of \(definition.name.printable)")
        hookCalled(for: definition.uuid, known, isKnown: domains[definition.uuid]?.isLibvirts == true)
        switch known {
        case let some? where some.hasDevices:
            await starting(definition, xml: xml, isStart: operation == "start")
        case .stopped, .release:
            // The devices are gone or about to go; libvirt confirms with an event as soon as the hook returns.
            domains.recordStop(definition.uuid, isReleased: known == .release, at: clock.monotonic())
            if known == .release { claim([], for: definition.uuid) }
            request(.domain(definition.uuid), after: 0.2)
            return HookAnswer(allow: true)
        default:
            return HookAnswer(allow: true)
        }
        let kernel = attachments.view(of: definition.uuid)
        let missing = operation == "start" ? RequiredTaps.missing(domains[definition.uuid]?.view.verdicts ?? [], kernel: kernel) : []
        for line in missing { logger.error("\(label(definition.uuid)): not started: \(line.printable)") }
        guard missing.isEmpty else { return HookAnswer(allow: false, lines: missing) }
        let builder = TapStatusBuilder(hostWarnings: [], kernel: kernel)
        let lines = domains[definition.uuid].map { known in
            builder.taps(of: known.view).filter { $0.state != .active && $0.state != .disabled && $0.definition != .configOnly }.map {
                "tap \($0.name): \($0.state.rawValue): \($0.reason?.rawValue ?? ""): \($0.message ?? "")"
            }
        }
        return HookAnswer(allow: true, lines: lines ?? [])
    }

    /// How long a guest's start waits at most until its filters are compiled: seconds.
    private static let filterPatience = 1.0

    /// Puts the taps of a domain in place that has its devices: at `start` before it runs.
    private func starting(_ definition: DomainDefinition, xml: [UInt8], isStart: Bool) async {
        let uuid = definition.uuid
        let now = clock.monotonic()
        domains.recordStart(definition, xml: xml, isStart: isStart, at: now)
        // That it ran, or was resumed, a moment ago was another run.
        if isStart { hookRecord.forgetRun(of: uuid) }
        claim(definition.interfaces, for: uuid)
        refreshDevices(of: definition)
        prove(uuid)
        // Copies for a sensor VM reach it from its first moment.
        enlist(uuid, DomainDirectory.Entry(name: definition.name, interfaces: definition.interfaces))
        refreshDestinations(in: uuid)
        // A little less than the hook waits, so that it gets its answer.
        let timeout = Double(configuration.value.hookTimeout)
        await reconcileAtOnce(uuid, until: now + timeout * 0.8)
        // What waits for no filter is in place by now.
        if isStart, await filtersCame(for: uuid, until: now + min(Self.filterPatience, timeout * 0.4)) {
            await reconcileAtOnce(uuid, until: now + timeout * 0.8)
        }
        if isStart { noteArrival(of: uuid) }
    }

    // MARK: - How long before, or after, a guest began to run its taps were in place: for the log

    /// Measures the gap of a domain that has just started, if it has taps.
    func noteArrival(of uuid: DomainUUID) {
        guard !attachments.of(uuid).isEmpty else { return }
        if let lead = hookRecord.placed(uuid, at: clock.monotonic()) { report(lead, uuid) }
    }

    /// Logs how many seconds taps were in place before, or (negative) after, a guest ran.
    func report(_ lead: Double, _ uuid: DomainUUID) {
        let milliseconds = Int((abs(lead) * 1_000).rounded())
        if lead >= 0 {
            logger.notice("\(label(uuid)): taps in place \(milliseconds) ms before the guest ran: no gap")
        } else {
            logger.warning("\(label(uuid)): the guest ran \(milliseconds) ms before its taps were in place; the hook would close this gap")
        }
    }
}
