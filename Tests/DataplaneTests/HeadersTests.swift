// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    @Suite("snaplen=\"headers\" lets no payload out")
    struct HeadersTests {
        struct Case {
            var what: String
            /// Behind the MAC addresses.
            var frame: [UInt8]
            /// How many of these bytes are headers; `nil`: the kernel may refuse to cut it, and it is dropped.
            var headers: Int?
        }

        private static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
        /// No header anywhere has this byte.
        private static let payload = [UInt8](repeating: 0xEE, count: 300)

        private static func ipv4(_ number: UInt8, _ rest: [UInt8], options: Int = 0, fragment: Int = 0) -> [UInt8] {
            let head: [UInt8] = [0x40 | UInt8(5 + options / 4), 0]
            var header: [UInt8] = big(0x0800) + head + big(20 + options + rest.count) + [0, 1]
            header += big(fragment) + [64, number, 0, 0] + [10, 0, 0, 1, 10, 0, 0, 2]
            header += [UInt8](repeating: 1, count: options)
            header.replaceSubrange(12..<14, with: FrameBuilder.checksum(header.dropFirst(2)))
            return header + rest
        }

        private static func ipv6(_ next: UInt8, _ rest: [UInt8]) -> [UInt8] {
            var header: [UInt8] = big(0x86DD) + [0x60, 0, 0, 0] + big(rest.count) + [next, 64]
            header += [UInt8](repeating: 0xFD, count: 32)
            return header + rest
        }

        private static func tcp(options: Int = 0) -> [UInt8] {
            var header: [UInt8] = big(4_000) + big(5_000) + [0, 0, 0, 1, 0, 0, 0, 0]
            header += [UInt8((20 + options) / 4) << 4, 0x10, 0xFF, 0xFF, 0, 0, 0, 0]
            return header + [UInt8](repeating: 1, count: max(0, options))
        }

        private static func extensions(_ count: Int, then next: UInt8, _ rest: [UInt8]) -> [UInt8] {
            let headers = (0..<count).flatMap { [$0 == count - 1 ? next : 60] + options.dropFirst() }
            return ipv6(0, headers + rest)
        }

        private static let arp: [UInt8] = big(0x0806) + big(1) + big(0x0800) + [6, 4] + big(1) + [UInt8](repeating: 2, count: 20)

        private static let udp = big(4_000) + big(5_000) + big(308) + [0, 0]
        private static let options: [UInt8] = [0, 0, 1, 4, 0, 0, 0, 0]

        static let cases: [Case] = [
            Case(what: "UDP", frame: ipv4(17, udp + payload), headers: 30),
            Case(what: "TCP", frame: ipv4(6, tcp() + payload), headers: 42),
            Case(what: "TCP with options", frame: ipv4(6, tcp(options: 40) + payload), headers: 82),
            Case(what: "TCP behind IP options", frame: ipv4(6, tcp(options: 12) + payload, options: 40), headers: 94),
            Case(what: "TCP whose offset is a lie", frame: ipv4(6, tcp(options: -20) + payload), headers: nil),
            Case(what: "TCP whose header is longer than it", frame: ipv4(6, Array(tcp(options: 40)[..<20] + payload[..<8])), headers: 42),
            Case(what: "ICMP", frame: ipv4(1, [8, 0, 0, 0, 0, 1, 0, 1] + payload), headers: 30),
            Case(what: "SCTP", frame: ipv4(132, big(1) + big(2) + [0, 0, 0, 0, 0, 0, 0, 0] + payload), headers: 34),
            Case(what: "ESP", frame: ipv4(50, [0, 0, 0, 1, 0, 0, 0, 1] + payload), headers: 30),
            Case(what: "an unknown protocol", frame: ipv4(253, payload), headers: 22),
            Case(what: "a first fragment", frame: ipv4(17, udp + payload, fragment: 0x2000), headers: 30),
            Case(what: "a later fragment", frame: ipv4(17, payload, fragment: 0x2010), headers: 22),
            Case(what: "the last fragment", frame: ipv4(6, payload, fragment: 0x0010), headers: 22),
            Case(what: "IPv4 in IPv4", frame: ipv4(4, Array(ipv4(17, udp + payload).dropFirst(2))), headers: nil),
            Case(what: "GRE", frame: ipv4(47, [0, 0] + ipv4(17, udp + payload)), headers: nil),
            Case(what: "UDP over IPv6", frame: ipv6(17, udp + payload), headers: 50),
            Case(what: "TCP over IPv6", frame: ipv6(6, tcp(options: 12) + payload), headers: 74),
            Case(what: "ICMPv6", frame: ipv6(58, [128, 0, 0, 0, 0, 1, 0, 1] + payload), headers: 50),
            Case(what: "hop-by-hop options", frame: extensions(1, then: 17, udp + payload), headers: 58),
            Case(what: "four extension headers", frame: extensions(4, then: 6, tcp() + payload), headers: 94),
            Case(what: "a first fragment of IPv6", frame: ipv6(44, [17, 0, 0, 1, 0, 0, 0, 9] + udp + payload), headers: 58),
            Case(what: "a later fragment of IPv6", frame: ipv6(44, [17, 0, 1, 1, 0, 0, 0, 9] + payload), headers: 50),
            Case(
                what: "an extension header longer than the frame", frame: ipv6(60, [17, 200] + options.dropFirst(2) + payload), headers: nil
            ),
            Case(what: "nothing behind IPv6", frame: ipv6(59, payload), headers: 42),
            Case(what: "an unknown EtherType", frame: big(0x88B5) + payload, headers: 2),
            Case(what: "802.3 with LLC", frame: big(300) + payload, headers: 2),
            Case(what: "ARP", frame: arp + payload.prefix(18), headers: 30),
            Case(what: "five tags", frame: (0..<5).flatMap { _ in big(0x8100) + big(7) } + ipv4(17, udp + payload), headers: nil),
        ]

        @Test("Every protocol that is parsed, and those that are not", arguments: Mechanism.here)
        func cuts(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(.outbound) { $0.snaplen = .headers }
            var before = DirectionCounters()
            for one in Self.cases {
                let frames = [[], [7], [7, 8]].map { tags in
                    FrameBuilder.peer + FrameBuilder.guest + tags.flatMap { Self.big(0x8100) + Self.big($0) } + one.frame
                }
                for frame in frames { try tapped.bench.guest.write(frame) }
                #expect(tapped.bench.peer.receive(3) == frames, "\(one.what)")
                let copies = tapped.bench.sensor.receive(one.headers == nil ? 0 : 3)
                #expect(
                    copies.allSatisfy { copy in !copy.contains(0xEE) && frames.contains { $0.starts(with: copy) } },
                    "\(one.what): \(copies)")
                let counters = try #require(try tapped.counters(desired)[.outbound])
                let (copied, errors) = (counters.copied.packets - before.copied.packets, counters.errors.packets - before.errors.packets)
                #expect(copied + errors == 3 && copied == UInt64(copies.count), "\(one.what)")
                before = counters
                guard let headers = one.headers else { continue }
                #expect(copies.map(\.count) == [0, 4, 8].map { 12 + $0 + min(headers, one.frame.count) }, "\(one.what)")
            }
            #expect(before.seen == before.copied + before.errors)
        }

        @Test("Fragments that the kernel makes of a GSO packet have no UDP header", arguments: Mechanism.here)
        func cutsFragments(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism, withHeader: true)
            try tapped.attach(.outbound) { $0.snaplen = .headers }
            let body = [UInt8](repeating: 0xEE, count: 4_000)
            let frame =
                FrameBuilder.peer + FrameBuilder.guest + Self.ipv4(17, Self.big(4_000) + Self.big(5_000) + Self.big(4_008) + [0, 0] + body)
            // VIRTIO_NET_HDR_GSO_UDP: fragments of 1,480 bytes.
            try tapped.bench.guest.write(
                frame, TapDevice.Offload(type: 3, segmentSize: 1_480, headerLength: 42, checksumStart: 34, checksumOffset: 6))
            // 4,008 bytes behind the IP header: three fragments.
            let copies = tapped.bench.sensor.receive(3)
            #expect(copies.count == 3)
            #expect(copies.allSatisfy { !$0.contains(0xEE) }, "\(copies)")
        }
    }
}
