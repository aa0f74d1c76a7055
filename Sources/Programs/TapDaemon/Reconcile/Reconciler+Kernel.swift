// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapModel

/// The kernel side as a whole: devices, attachments, what others removed, and whether it can be used at all.
extension Reconciler {
    /// Reads the host's devices. After an error the last known ones stand.
    func refreshDevices() {
        do {
            let now = clock.monotonic()
            knownDevices.replace(try dataplane.devices(), readAt: now)
            domains.forgetProofs(without: devices)
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Reads the devices that a domain names, of which an event may not have come yet. Reading all of them instead would
    /// cost milliseconds on a host with many.
    func refreshDevices(of domain: DomainDefinition) {
        guard !devices.all.isEmpty else { return refreshDevices() }
        for name in Set(domain.interfaces.compactMap(\.device)) {
            do {
                // If the device was renamed, its new name counts.
                let proof = domains.claims.proof(ofDevice: name, in: domain.uuid)
                let current = proof.flatMap { devices[$0.ifindex]?.name } ?? name
                let device = try dataplane.device(named: current)
                // The device that was proved is gone or was renamed since: all devices are read, which shows what else has changed.
                if let proof, proof.ifindex != device?.index { return devicesChanged() }
                knownDevices.update(current, device)
            } catch {
                noteKernelTrouble(error)
            }
        }
    }

    /// Reads everything that is pinned. After an error the attachments that were known last stay: nothing can be attached then, but the
    /// desired state is evaluated all the same, since status has to say why it fails.
    func refreshAttachments() {
        do {
            try dataplane.lock()
            attachments.replace(try dataplane.attachments())
            if kernelTrouble != nil { logger.notice("the kernel side can be used again") }
            kernelTrouble = nil
        } catch {
            noteKernelTrouble(error)
        }
    }

    /// Checks every attachment for what somebody else removed, or went in front of. - Returns: seconds until it is done again.
    ///
    /// The kernel tells nobody when a link is detached, so it is asked: about once per second, and less often where there
    /// is so much to ask about that it would cost more than a quarter of a per cent of a processor. Time that it waits (for RTNL,
    /// which others hold, or for a processor) does not count: else nothing would be checked while the host is busy.
    func sweep() async -> Double {
        checkPins()
        let begin = clock.processor()
        let isMended = keepPorts(isComplete: false)
        // What is mended is rare, and must not put the next sweep off: whoever removed it once may do so again.
        var spent = isMended ? 0 : clock.processor() - begin
        if isMended { refreshDestinations() }
        var left = attachments.all[...]
        while !left.isEmpty {
            let start = clock.processor()
            for last in left.prefix(64) {
                do throws(Failure) {
                    if let uuid = last.spec?.key.domain, try !dataplane.isUndisturbed(last) { request(.domain(uuid)) }
                } catch {
                    noteKernelTrouble(error)
                }
            }
            left = left.dropFirst(64)
            spent += clock.processor() - start
            // A hook must not wait for the whole sweep.
            await Task.yield()
        }
        return max(1, spent * 400)
    }

    /// Whether bpffs is where it was: programs go on without it, but nobody finds them again.
    private func checkPins() {
        do {
            _ = try dataplane.mechanism(for: configuration.value.mechanism)
            if kernelTrouble?.reason == .bpffsNotMounted { request(.all) }
        } catch {
            if kernelTrouble != error { request(.all) }
            noteKernelTrouble(error)
        }
    }

    /// Notes why the kernel side cannot be used, and logs it once.
    func noteKernelTrouble(_ failure: Failure) {
        if kernelTrouble != failure { logger.error("\(failure.message)", metadata: ["reason": "\(failure.reason.rawValue)"]) }
        kernelTrouble = failure
    }
}
