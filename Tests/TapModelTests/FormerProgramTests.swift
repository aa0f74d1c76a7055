// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

/// Where what is asked for cannot be put in the place of what is there, the latter copies on: status says so, and what it copies.
@Suite("What copies on after an exchange that failed")
struct FormerProgramTests {
    private static let refusal = Failure(.attachFailed, "vnet0 inbound: the kernel's verifier refused the program")

    private func tap(_ change: (inout ObservedAttachment) -> Void) throws -> TapStatus {
        let desired = Fixture.desired()[0]
        var observed = Fixture.observed(desired)
        change(&observed)
        let domain = Fixture.domain()
        let view = DomainView(
            uuid: domain.uuid, name: domain.name, isRunning: true, live: domain, persistent: domain,
            verdicts: TapEvaluation.evaluate(domain, on: Fixture.host()))
        let kernel = KernelView(
            attachments: [observed.id: observed],
            counters: [observed.id: [.inbound: DirectionCounters(copied: Counter(packets: 7, bytes: 700))]],
            failures: [observed.id: Self.refusal])
        return try #require(TapStatusBuilder(hostWarnings: [], kernel: kernel).taps(of: view).first)
    }

    @Test("The program of the build before")
    func build() throws {
        let status = try tap { $0.isCurrentBuild = false }
        #expect(status.state == .degraded && status.reason == .attachFailed)
        #expect(status.message == "\(Self.refusal.message). The program before it (build b) goes on copying the same.")
        #expect(status.interfaces.map(\.state) == [.degraded] && status.interfaces.first?.inbound?.copied.packets == 7)
    }

    @Test("One with other options, which could not be removed either")
    func choice() throws {
        let status = try tap {
            $0.spec?.options.filter = "port 53"
            $0.spec?.options.snaplen = .bytes(128)
            $0.spec?.options.sampling = .flows(oneIn: 16)
        }
        #expect(status.state == .degraded)
        #expect(
            status.message?.hasSuffix(
                "goes on copying, as it was asked for then: both directions to span, filter \"port 53\", snaplen 128, sample-flows 1/16.")
                == true)
    }

    @Test("Of one direction")
    func half() throws {
        let status = try tap { $0.hooks[.inbound] = .detached }
        #expect(status.state == .degraded && status.message?.hasSuffix("goes on copying what is outbound.") == true)
    }

    @Test("None: nothing copies")
    func none() throws {
        let status = try tap { $0.hooks = [.inbound: .detached, .outbound: .detached] }
        #expect(status.state == .failed && status.message == Self.refusal.message)
    }
}
