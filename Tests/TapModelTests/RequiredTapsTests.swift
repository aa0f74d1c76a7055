// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("Required taps")
struct RequiredTapsTests {
    private func required(_ change: (inout Tap) -> Void = { _ in }) -> DomainDefinition {
        var tap = Fixture.tap()
        tap.required = true
        change(&tap)
        return Fixture.domain([tap])
    }

    private func missing(
        _ domain: DomainDefinition, _ host: HostState = Fixture.host(),
        hook: ObservedAttachment.Hook? = .attached(position: 0, foreignAhead: 0)
    ) -> [String] {
        let verdicts = TapEvaluation.evaluate(domain, on: host)
        let attachments = hook.map { hook in verdicts.flatMap(\.desired).map { Fixture.observed($0, hook: hook) } } ?? []
        return RequiredTaps.missing(
            verdicts, kernel: KernelView(attachments: Dictionary(uniqueKeysWithValues: attachments.map { ($0.id, $0) })))
    }

    @Test func inPlace() {
        #expect(missing(required()) == [])
        #expect(missing(Fixture.domain(), hook: nil) == [], "a tap that is not required")
        #expect(missing(required { $0.enabled = false }) == [], "a tap that is switched off")
    }

    @Test func aDestinationThatIsOnlyDownDoesNotCount() {
        #expect(missing(required(), Fixture.host(devices: [Fixture.vnet()])) == [])
        #expect(missing(required(), Fixture.host(devices: [Fixture.vnet(), Fixture.span { $0.isUp = false }])) == [])
    }

    private static let passing: [Reason] = [
        .destinationDown, .neighbourUnreachable, .mtuTooSmall, .destinationElsewhere, .destinationOverloaded, .libvirtDisconnected,
    ]
    private static let lasting: [Reason] = [.destinationUnsafe, .destinationLoop, .notImplemented, .kernelTooOld, .noMatchingInterface]

    @Test(arguments: passing.map { ($0, true) } + lasting.map { ($0, false) })
    func whateverPassesDoesNotCount(_ reason: Reason, _ mayStart: Bool) {
        let verdicts = TapEvaluation.evaluate(required(), on: Fixture.host()).map { verdict in
            var verdict = verdict
            guard case .evaluated(var destination, let interfaces) = verdict.outcome else { return verdict }
            destination.failure = Failure(reason, "…")
            verdict.outcome = .evaluated(destination, interfaces)
            return verdict
        }
        let attachments = verdicts.flatMap(\.desired).map { Fixture.observed($0) }
        let kernel = KernelView(attachments: Dictionary(uniqueKeysWithValues: attachments.map { ($0.id, $0) }))
        #expect(RequiredTaps.missing(verdicts, kernel: kernel).isEmpty == mayStart)
    }

    /// A VPN took the route, or a floating address came here: the next change of routes ends it.
    @Test(arguments: [("10.9.0.2", true), ("224.0.0.9", false), ("ff02::1", false), ("fe80::1", false), ("0.0.0.0", false), ("::", false)])
    func whatRoutesSayDoesNotCount(_ remote: String, _ mayStart: Bool) throws {
        let tunnel = Tunnel(kind: .vxlan, remote: remote, identifier: 7)
        for reason in [Reason.notImplemented, .destinationUnsafe, .neighbourUnreachable, .destinationDown] {
            var host = Fixture.host(
                Fixture.configuration {
                    $0.destinations.append(DestinationDefinition(name: TapName("far")!, target: .tunnel(tunnel)))
                })
            host.paths[try #require(UnderlayQuery(tunnel))] = .failure(Failure(reason, "so says the route"))
            let domain = required { $0.destination = .named(TapName("far")!) }
            #expect(missing(domain, host).isEmpty == mayStart, "\(reason)")
        }
    }

    @Test func aStoppedDestinationKeepsNoGuestFromStarting() {
        var host = Fixture.host()
        host.overloads["ids"] = Failure(.destinationOverloaded, "…")
        #expect(missing(required(), host) == [])
    }

    @Test func whatCounts() {
        #expect(missing(required(), hook: nil).count == 1)
        #expect(missing(required(), hook: .detached).count == 1)
        #expect(missing(required { $0.destination = .named(TapName("nowhere")!) })[0].contains("no-such-destination"))
        #expect(missing(required { $0.filter = "tcp" })[0].contains("filter-pending"))
        #expect(
            missing(required(), Fixture.host(devices: [Fixture.vnet(), Fixture.span { $0.hasAddress = true }]))[0].contains(
                "destination-unsafe"))
        #expect(missing(required(), Fixture.host(Fixture.configuration { $0.policy.tapsAllowed = false }))[0].contains("disabled-by-host"))
        #expect(missing(required { $0.selectors = [InterfaceSelector(alias: "net9")] })[0].contains("no-matching-interface"))
        var invalid = Fixture.domain()
        invalid.taps = [.invalid(name: TapName("x")!, required: true, Failure(.invalidMetadata, "…"))]
        #expect(missing(invalid)[0].contains("required tap x"))
    }

    @Test func everyInterfaceOfATapCounts() {
        var domain = required()
        domain.interfaces.append(Fixture.interface("net1", mac: MACAddress("52:54:00:00:00:02"), type: .hostdev, device: nil))
        #expect(missing(domain)[0].contains("interface-type-unsupported"))
    }

    @Test func withNobodyThere() {
        #expect(RequiredTaps.unplaced(required().taps, because: "no daemon").count == 1)
        #expect(RequiredTaps.unplaced(Fixture.domain().taps, because: "no daemon") == [])
    }
}
