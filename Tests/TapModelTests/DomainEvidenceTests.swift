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
        let key = TapKey(domain: domain.uuid, origin: .domain, name: tap.name)
        #expect(evidence(view) == .running(view.verdicts[1].desired, undecided: [key]))
        #expect(evidence(view, host: Fixture.host(isPaused: true)) == .running([]), "but the host's word is enough")
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
        #expect(evidence(nil, host: Fixture.host(devices: [down])) == .unknown, "of a device that is down that cannot be told")
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
