// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("What counts as evidence")
struct DomainEvidenceTests {
    private let desired = Fixture.desired()

    private func evidence(
        _ domain: DomainView?, host: HostState = Fixture.host(), isAbsent: Bool = true,
        observed: [ObservedAttachment] = [Fixture.observed(Fixture.desired()[0])]
    ) -> DomainEvidence { DomainEvidence.of(domain, isAbsent: isAbsent, observed: observed, host: host) }

    private func view(isRunning: Bool = true, isReadable: Bool = true) -> DomainView {
        DomainView(
            uuid: Fixture.uuid, name: "web1", isRunning: isRunning, live: isReadable ? Fixture.domain() : nil,
            verdicts: isReadable ? TapEvaluation.evaluate(Fixture.domain(), on: Fixture.host()) : [])
    }

    @Test func aRunningDomainAsksForWhatItAsksFor() {
        #expect(evidence(view()) == .running(desired))
        #expect(evidence(view(), isAbsent: false) == .running(desired), "what was last heard stands")
    }

    @Test func aFilterThatIsNotCompiledLeavesItOpen() {
        var tap = Fixture.tap()
        tap.filter = "tcp"
        let domain = Fixture.domain([tap, Fixture.tap("other")])
        var view = view()
        view.verdicts = TapEvaluation.evaluate(domain, on: Fixture.host())
        let observed = Fixture.observed(desired[0])
        #expect(evidence(view) == .running(view.verdicts[1].desired, kept: [observed.id]))
        #expect(evidence(view, host: Fixture.host(isPaused: true)) == .running([]), "but the host's word is enough")
        var halfMade = observed
        halfMade.spec = nil
        var other = observed
        other.spec?.key.tap = TapName("third")!
        #expect(evidence(view, observed: [halfMade, other]) == .running(view.verdicts[1].desired))
    }

    @Test func whatALaterVersionAttachedIsKept() {
        var foreign = Fixture.observed(desired[0])
        (foreign.spec, foreign.isOfLaterVersion) = (nil, true)
        #expect(evidence(view(), observed: [foreign]) == .running(desired, kept: [foreign.id]))
        #expect(evidence(nil, observed: [foreign]) == .unknown, "somebody holds its device open")
        // Evidence is evidence for it as well.
        #expect(evidence(view(isRunning: false), observed: [foreign]) == .notRunning)
        #expect(evidence(view(), host: Fixture.host(isPaused: true), observed: [foreign]) == .running([]))
    }

    @Test func aFilterThatThisHostCannotCompileLeavesWhatDoesTheSame() {
        var tap = Fixture.tap()
        tap.filter = "tcp"
        var host = Fixture.host()
        host.filters["tcp"] = .failure(Failure(.permissionDenied, "why"))
        func kept(_ change: (inout Tap) -> Void = { _ in }) -> Set<AttachmentID>? {
            var observed = Fixture.observed(desired[0])
            observed.spec?.options.filter = "tcp"
            var changed = tap
            change(&changed)
            let domain = Fixture.domain([changed])
            if let filter = changed.filter { host.filters[filter] = host.filters["tcp"] }
            let view = DomainView(
                uuid: Fixture.uuid, name: "web1", isRunning: true, live: domain, verdicts: TapEvaluation.evaluate(domain, on: host))
            guard case .running([], let kept) = evidence(view, host: host, observed: [observed]) else { return nil }
            return kept
        }
        #expect(kept() == [Fixture.observed(desired[0]).id])
        #expect(kept { $0.filter = "udp" } == [])
        #expect(kept { $0.snaplen = .headers } == [])
        #expect(kept { $0.rate = RateLimit(perSecond: 1, unit: .bitsPerSecond, burst: nil, text: "1bit", burstText: nil) } == [])
        #expect(kept { $0.selectors = [InterfaceSelector(mac: MACAddress("52:54:00:99:99:99"))] } == [])
    }

    @Test func libvirtsWordThatItDoesNotRun() { #expect(evidence(view(isRunning: false)) == .notRunning) }

    @Test func whatIsNoEvidence() {
        #expect(evidence(view(isReadable: false)) == .unknown)
        #expect(evidence(view(), host: Fixture.host(mechanism: .failure(Failure(.bpffsNotMounted, "")))) == .unknown)
        #expect(evidence(nil, isAbsent: false) == .unknown)
    }

    @Test func aDomainThatLibvirtDoesNotKnow() {
        #expect(evidence(nil) == .unknown, "somebody holds its device open")
        var down = Fixture.vnet()
        down.isUp = false
        down.hasCarrier = false
        #expect(evidence(nil, host: Fixture.host(devices: [down])) == .unknown, "unknown of a device that is down")
        var macvtap = Fixture.vnet()
        macvtap.kind = .macvtap
        macvtap.hasCarrier = false
        #expect(evidence(nil, host: Fixture.host(devices: [macvtap])) == .unknown, "its carrier is the cable's")
        var idle = Fixture.vnet()
        idle.hasCarrier = false
        #expect(evidence(nil, host: Fixture.host(devices: [idle])) == .notRunning)
        #expect(evidence(nil, host: Fixture.host(devices: [])) == .notRunning)
    }

    @Test func theHostsOwnWordNeedsNoLibvirt() {
        let off = Fixture.host(Fixture.configuration { $0.policy.tapsAllowed = false })
        #expect(evidence(nil, host: off, isAbsent: false) == .running([]))
        #expect(evidence(view(), host: Fixture.host(isPaused: true)) == .running([]))
    }
}
