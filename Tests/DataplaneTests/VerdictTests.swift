// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

extension KernelSuite {
    /// Others on the same device that drop, accept for good, or send elsewhere.
    @Suite("Others that decide")
    struct VerdictTests {
        enum Verdict: CaseIterable { case accept, drop, redirect }

        /// Attaches a foreign program in front of or behind ours, on both hooks.
        private func attach(
            _ answer: ForeignProgram.Answer, to tapped: TappedBench, ahead: Bool
        ) throws -> [ForeignProgram] {
            try [false, true].map { egress in
                let program = try ForeignProgram(answer: answer)
                switch tapped.mechanism {
                case .tcx: try program.attach(to: tapped.bench.guest.index, egress: egress, first: ahead)
                case .clsact:
                    try program.attachFilter(to: tapped.bench.guest.index, egress: egress, priority: ahead ? 1 : 9, handle: 1)
                }
                return program
            }
        }

        /// Sends five frames each way; what came to the peer, to the guest, and to where redirected frames go.
        private func deliver(_ tapped: TappedBench, _ verdict: Verdict, _ elsewhere: PacketSocket) throws -> Delivery {
            let bench = tapped.bench
            let outbound = (0..<5).map { FrameBuilder.udp($0) }
            let inbound = (0..<5).map { FrameBuilder.udp($0 + 1_000, toGuest: true) }
            for frame in outbound { try bench.guest.write(frame) }
            for frame in inbound { try bench.peer.send(frame) }
            var atGuest: [[UInt8]] = []
            while let frame = bench.guest.read(within: verdict == .accept && atGuest.count < 5 ? 1_000 : 100) { atGuest.append(frame) }
            return Delivery(
                sent: outbound + inbound, atPeer: bench.peer.receive(verdict == .accept ? 5 : 0), atGuest: atGuest,
                elsewhere: elsewhere.receive(verdict == .redirect ? 10 : 0))
        }

        struct Delivery {
            var sent: [[UInt8]]
            var atPeer: [[UInt8]]
            var atGuest: [[UInt8]]
            var elsewhere: [[UInt8]]
        }

        private func expect(_ delivery: Delivery, _ verdict: Verdict) {
            let (outbound, inbound) = (Array(delivery.sent.prefix(5)), Array(delivery.sent.suffix(5)))
            #expect(delivery.atPeer == (verdict == .accept ? outbound : []))
            #expect(delivery.atGuest == (verdict == .accept ? inbound : []))
            #expect(delivery.elsewhere.count == (verdict == .redirect ? 10 : 0))
            if verdict == .redirect { #expect(Set(delivery.elsewhere) == Set(delivery.sent)) }
        }

        @Test(
            "Ours copies what those behind it drop, accept or redirect, and they do so as without us",
            arguments: Mechanism.here, Verdict.allCases)
        func copiesAheadOfOthers(_ mechanism: Mechanism, _ verdict: Verdict) throws {
            let tapped = try TappedBench(mechanism)
            let (elsewhere, answer) = try aside(tapped, verdict)
            defer { _ = try? run("ip", "link", "del", "aside\(tapped.bench.number)") }
            let desired = try tapped.attach()
            let others = try attach(answer, to: tapped, ahead: false)
            let delivery = try deliver(tapped, verdict, elsewhere)
            expect(delivery, verdict)
            let copies = tapped.bench.sensor.receive(10)
            #expect(copies.count == 10)
            #expect(Set(copies) == Set(delivery.sent))
            #expect(others.map(\.runs) == [5, 5])
            let counters = try tapped.counters(desired)
            #expect(counters[.outbound]?.copied == Counter(delivery.sent.prefix(5)))
            #expect(counters[.inbound]?.copied == Counter(delivery.sent.suffix(5)))
            #expect(
                try tapped.dataplane.attachment(desired.key.id)?.hooks
                    == [.inbound: .attached(position: 0, foreignAhead: 0), .outbound: .attached(position: 0, foreignAhead: 0)])

            try tapped.dataplane.detach(desired.key.id)
            expect(try deliver(tapped, verdict, elsewhere), verdict)
            #expect(others.map(\.runs) == [10, 10])
        }

        /// What `not-first` warns the operator of: such a program may hide everything.
        @Test(
            "Behind others that drop, accept or redirect ours sees nothing, says that it is not first, and changes nothing",
            arguments: Mechanism.here, Verdict.allCases)
        func seesNothingBehindOthers(_ mechanism: Mechanism, _ verdict: Verdict) throws {
            let tapped = try TappedBench(mechanism)
            let (elsewhere, answer) = try aside(tapped, verdict)
            defer { _ = try? run("ip", "link", "del", "aside\(tapped.bench.number)") }
            let desired = try tapped.attach()
            // Of filters with one priority the newest runs first.
            let others = try attach(answer, to: tapped, ahead: true)

            let hooks = try #require(try tapped.dataplane.attachment(desired.key.id)?.hooks)
            let delivery = try deliver(tapped, verdict, elsewhere)
            expect(delivery, verdict)
            #expect(others.map(\.runs) == [5, 5])
            for direction in Direction.allCases {
                #expect(hooks[direction] == .attached(position: 1, foreignAhead: 1))
                #expect(try tapped.counters(desired)[direction]?.seen == Counter())
            }
            #expect(tapped.bench.sensor.receive(0) == [])
        }

        /// A pair of devices for what is redirected.
        private func aside(_ tapped: TappedBench, _ verdict: Verdict) throws -> (PacketSocket, ForeignProgram.Answer) {
            let number = tapped.bench.number
            try ip(
                """
                link add aside\(number) type veth peer name end\(number)
                link set aside\(number) up
                link set end\(number) up

                """)
            for name in ["aside\(number)", "end\(number)"] {
                // A device drops what it is given until the kernel has seen its carrier.
                for _ in 0..<200 where try String(contentsOfFile: "/sys/class/net/\(name)/operstate", encoding: .utf8) != "up\n" {
                    usleep(10_000)
                }
            }
            let socket = try PacketSocket(on: "end\(number)")
            return switch verdict {
            case .accept: (socket, .accept)
            case .drop: (socket, .drop)
            case .redirect: (socket, .redirect(ifindex: if_nametoindex("aside\(number)")))
            }
        }
    }
}
