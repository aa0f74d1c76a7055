// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

/// A host whose configuration cannot be used and that had none before: what is in the kernel stays, and only what a domain says of itself
/// ends it.
@Suite("Without a configuration")
struct UnconfiguredTests {
    static let why = Failure(.configInvalid, "config.xml:2: unknown element")

    private static var host: HostState {
        var host = Fixture.host(HostConfiguration())
        host.unconfigured = why
        return host
    }

    private func view(_ domain: DomainDefinition, isRunning: Bool = true) -> DomainView {
        DomainView(
            uuid: domain.uuid, name: domain.name, isRunning: isRunning, live: isRunning ? domain : nil, persistent: domain,
            verdicts: isRunning ? TapEvaluation.evaluate(domain, on: Self.host) : [])
    }

    private func plan(_ domain: DomainView, _ observed: [ObservedAttachment]) -> [Action] {
        let evidence = DomainEvidence.of(domain, isAbsent: false, observed: observed, host: Self.host)
        return Planner.plan(evidence, observed: observed)
    }

    /// As an earlier daemon attached it, with a configuration.
    private func attached(_ change: (inout ObservedAttachment) -> Void = { _ in }) -> ObservedAttachment {
        var observed = Fixture.observed(Fixture.desired()[0])
        change(&observed)
        return observed
    }

    @Test("What is attached stays, as it is", arguments: [nil, "other choice", "other build", "removed by somebody"])
    func kept(_ what: String?) {
        let observed = attached {
            switch what {
            case "other choice": $0.spec?.options.filter = "port 53"
            case "other build": $0.isCurrentBuild = false
            case "removed by somebody": $0.hooks = [.inbound: .detached, .outbound: .detached]
            default: break
            }
        }
        #expect(plan(view(Fixture.domain()), [observed]).isEmpty)
    }

    @Test("Nothing is attached anew, and the reason is the configuration's")
    func nothingNew() {
        #expect(plan(view(Fixture.domain()), []).isEmpty)
        #expect(TapEvaluation.evaluate(Fixture.domain(), on: Self.host).map(\.outcome) == [.refused(Self.why)])
    }

    @Test("A tap that the domain does not ask for any more ends")
    func takenBack() {
        var off = Fixture.tap()
        off.enabled = false
        for domain in [Fixture.domain([]), Fixture.domain([Fixture.tap("other")]), Fixture.domain([off])] {
            #expect(plan(view(domain), [attached()]).map(\.desired) == [nil])
        }
    }

    @Test("It ends with the domain, and with the device")
    func ended() {
        // Which libvirt is the host's is not known: its word is enough for what nobody holds.
        #expect(plan(view(Fixture.domain(), isRunning: false), [attached()]).isEmpty)
        let dead = attached { $0.hooks = [.inbound: .deviceGone, .outbound: .deviceGone] }
        #expect(plan(view(Fixture.domain()), [dead]) == [.collect(dead.id)])
    }

    @Test("A required tap is not in place, also where it copies on")
    func required() {
        var tap = Fixture.tap()
        tap.required = true
        let verdicts = TapEvaluation.evaluate(Fixture.domain([tap]), on: Self.host)
        let observed = attached()
        #expect(
            RequiredTaps.missing(verdicts, kernel: KernelView(attachments: [observed.id: observed])) == [
                "required tap ids is not in place: config-invalid: config.xml:2: unknown element"
            ])
    }

    @Test("Status: what copies on is degraded, what waits has failed, each for the configuration")
    func status() throws {
        let observed = attached()
        func tap(_ attachments: [ObservedAttachment]) throws -> TapStatus {
            let kernel = KernelView(
                attachments: Dictionary(uniqueKeysWithValues: attachments.map { ($0.id, $0) }),
                counters: [observed.id: [.inbound: DirectionCounters(copied: Counter(packets: 5, bytes: 500))]])
            return try #require(TapStatusBuilder(hostWarnings: [], kernel: kernel).taps(of: view(Fixture.domain())).first)
        }
        let copying = try tap([observed])
        #expect(copying.state == .degraded && copying.reason == .configInvalid)
        #expect(copying.message == "it copies on as before: config.xml:2: unknown element")
        #expect(copying.interfaces.map(\.state) == [.degraded] && copying.interfaces.map(\.reason) == [.configInvalid])
        #expect(copying.interfaces.first?.inbound?.copied.packets == 5)
        let waiting = try tap([])
        #expect(waiting.state == .failed && waiting.reason == .configInvalid && waiting.interfaces.isEmpty)
    }
}
