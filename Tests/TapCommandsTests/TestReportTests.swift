// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel
import Testing

@testable import TapCommands

/// What `virt-tap test` makes of what the daemon did and what the devices saw.
@Suite("The report of a test")
struct TestReportTests {
    private static func report(
        _ kind: DestinationTarget.Kind, device: String? = "mon0", fate: TestFrameOutcome.Fate = .copied,
        _ observations: [TestReport.Observation]
    ) -> TestReport {
        let tap = TapStatus(
            domain: "web1", uuid: DomainUUID("6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01")!, name: TapName("ids")!, origin: .domain,
            definition: .both, destination: "ids", direction: .both, required: false, enabled: true, state: .active, reason: nil,
            message: nil)
        let result = TestFrameResult(
            number: 3, tap: tap.name, origin: .domain, device: "vnet0", alias: "net0", direction: .outbound,
            outcome: TestFrameOutcome(fate: fate))
        return TestReport(
            taps: [tap], destinations: [DestinationStatus(name: "ids", kind: kind, device: device, failure: nil)], results: [result],
            observations: observations)
    }

    private static func seen(_ device: String, sent: Bool, outer: Int = 0, number: UInt16 = 3) -> TestReport.Observation {
        TestReport.Observation(number: number, device: device, isSent: sent, outerLength: outer, length: 106 + outer)
    }

    @Test func arrivalIsWhatWasSeenAtTheDestination() {
        let good = Self.report(.interface, [Self.seen("mon0", sent: true), Self.seen("mon1", sent: false)])
        #expect(good.isGood)
        #expect(good.lines.contains("  arrived at mon1") && good.lines.last == "1 of 1 test frame arrived or left the host")
        for bad in [
            Self.report(.interface, []), Self.report(.interface, [Self.seen("mon0", sent: false)]),
            Self.report(.interface, [Self.seen("mon1", sent: true)]), Self.report(.interface, [Self.seen("mon0", sent: true, number: 4)]),
            Self.report(.interface, fate: .errors, [Self.seen("mon0", sent: true)]),
            Self.report(.interface, device: nil, [Self.seen("mon0", sent: true)]),
            // As it was, and not in a tunnel's packet.
            Self.report(.vxlan, [Self.seen("mon0", sent: true)]),
        ] {
            #expect(!bad.isGood)
            #expect(bad.lines.contains { $0.contains("DID NOT ARRIVE") } && bad.lines.last == "0 of 1 test frame arrived or left the host")
        }
        let far = Self.report(.vxlan, [Self.seen("virttap-cut0", sent: true), Self.seen("mon0", sent: true, outer: 50)])
        #expect(far.isGood && far.lines.contains("  left the host by mon0"))
        #expect(far.lines.contains { $0.contains("sent: 156 bytes, 50 of them outer headers") })
    }

    @Test func aRefusalIsNoArrival() {
        var answer = Self.seen("mon0", sent: false, outer: 70)
        answer.refusal = IcmpRefusal(sender: "10.9.0.2", what: "protocol unreachable", isReceivers: true)
        let refused = Self.report(.gre, [Self.seen("mon0", sent: true, outer: 42), answer])
        // It left the host, and a sensor that only captures has it.
        #expect(refused.isGood && refused.lines.contains("  left the host by mon0"))
        #expect(refused.lines.contains { $0.contains("10.9.0.2 answers by ICMP: protocol unreachable") }, "\(refused.lines)")
        #expect(!Self.report(.gre, [answer]).isGood)
        answer.refusal = IcmpRefusal(sender: "10.9.0.254", what: "host unreachable", isReceivers: false)
        let lost = Self.report(.gre, [Self.seen("mon0", sent: true, outer: 42), answer])
        #expect(!lost.isGood && lost.lines.contains("  DID NOT ARRIVE: 10.9.0.254 answers by ICMP: host unreachable"))
    }

    @Test func whatIsBehindTheDeviceIsNotClaimed() {
        #expect(Self.report(.interface, [Self.seen("mon0", sent: true)]).lines.contains("  left by mon0"))
    }

    @Test func whyACopyIsNotMadeIsTheDestinationsReason() {
        var report = Self.report(.vxlan, device: nil, fate: .errors, [])
        report.destinations = [
            DestinationStatus(
                name: "ids", kind: .vxlan,
                failure: Failure(.neighbourUnreachable, "10.9.0.2 has not answered ARP on up0", about: "destination ids"))
        ]
        #expect(report.lines.contains { $0.hasSuffix("copy   not made: 10.9.0.2 has not answered ARP on up0") }, "\(report.lines)")
        #expect(report.lines.contains { $0.contains("DID NOT ARRIVE: destination ids: 10.9.0.2") })
    }

    @Test func aStaleConfigurationIsSaid() throws {
        var report = Self.report(.interface, [Self.seen("mon0", sent: true)])
        report.staleConfiguration = "/etc/virt-tap/config.xml"
        let first = try #require(report.lines.first)
        #expect(first.hasPrefix("/etc/virt-tap/config.xml is invalid: the configuration before it is tested"))
        #expect(report.isGood)
        report.hasFormerConfiguration = false
        #expect(report.lines.first?.contains("only the taps in the kernel are tested") == true)
    }

    @Test func aSensorThatDropsIsNoArrival() {
        var report = Self.report(.domain, [Self.seen("mon0", sent: true)])
        #expect(report.isGood && report.lines.contains("  went into the sensor VM by mon0"))
        #expect(report.lines.last?.contains("promisc") == true)
        report.drops = ["mon0": 2]
        #expect(!report.isGood && report.lines.contains { $0.contains("MAY NOT HAVE ARRIVED: mon0 dropped 2 frames") })
    }

    @Test func aTapOfWhichNothingWasSentIsNotGood() {
        var report = Self.report(.interface, [Self.seen("mon0", sent: true)])
        var other = report.taps[0]
        other.name = TapName("span")!
        other.state = .failed
        other.reason = .destinationDown
        other.message = "it is down\u{1B}"
        report.taps.append(other)
        #expect(!report.isGood)
        #expect(report.lines.contains("tap span: nothing was sent: it is failed (destination-down): it is down\\u{1b}"))
        report.results = []
        #expect(!report.isGood)
        #expect(report.lines.first == "tap ids: nothing was sent: it was not attached a moment ago, and is active now: try again")
        #expect(report.lines.last?.hasPrefix("no test frame was sent: only an attached tap can be tested") == true)
        #expect(!report.lines.contains { $0.contains("0 of 0") })
        report.taps = []
        #expect(!report.isGood)
    }

    @Test func whatIsWrongWithEachInterfaceIsSaid() {
        var report = Self.report(.interface, [])
        report.results = []
        func refused(_ alias: String, _ device: String) -> InterfaceStatus {
            var status = InterfaceStatus(
                alias: alias, mac: nil, device: device, ifindex: 7, type: .bridge, state: .failed, reason: .attachFailed,
                message: "tap \"ids\" of web1 on \(device): the kernel's verifier refused the program")
            status.detail = "the kernel's verifier refused the program"
            return status
        }
        report.taps[0].interfaces = [refused("net0", "vnet0")]
        (report.taps[0].state, report.taps[0].reason) = (.failed, .attachFailed)
        let one = "tap ids: nothing was sent: it is failed (attach-failed)"
        #expect(report.lines.first == one + ": the kernel's verifier refused the program")
        report.taps[0].interfaces.append(refused("net1", "vnet1"))
        #expect(
            report.lines.prefix(2) == [one, "  net0, net1: failed (attach-failed): the kernel's verifier refused the program"])
    }
}
