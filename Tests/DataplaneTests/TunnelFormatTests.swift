// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

extension KernelSuite {
    /// What tshark makes of each kind of tunnel: this machine has no receivers but VXLAN's.
    @Suite("The formats of tunnels")
    struct TunnelFormatTests {
        /// One kind, and what tshark is to say of a frame that the guest sent and of one that it got.
        struct Kind: CustomTestStringConvertible {
            let name: String
            let tunnel: Tunnel
            /// tshark's fields and their values for outbound and inbound.
            let fields: [(field: String, outbound: String, inbound: String)]
            var testDescription: String { name }
        }

        private static func kinds(_ remote: String) -> [Kind] {
            func tunnel(_ kind: Tunnel.Kind, _ change: (inout Tunnel) -> Void) -> Tunnel {
                var tunnel = Tunnel(kind: kind, remote: remote, ttl: 9, dscp: 10)
                change(&tunnel)
                return tunnel
            }
            return [
                Kind(
                    name: "vxlan", tunnel: tunnel(.vxlan) { $0.identifier = 100 },
                    fields: [("vxlan.vni", "100", "100"), ("udp.dstport", "4789", "4789")]),
                Kind(
                    name: "geneve",
                    tunnel: tunnel(.geneve) {
                        $0.outboundIdentifier = 0xABCDEF
                        $0.inboundIdentifier = 7
                        $0.port = 6_082
                    }, fields: [("geneve.vni", "0xabcdef", "0x000007"), ("geneve.proto_type", "0x6558", "0x6558")]),
                Kind(name: "gre", tunnel: tunnel(.gre) { _ in }, fields: [("gre.proto", "0x6558", "0x6558"), ("gre.key", "", "")]),
                Kind(
                    name: "gre with a key", tunnel: tunnel(.gre) { $0.identifier = 0x1234_5678 },
                    fields: [("gre.key", "0x12345678", "0x12345678")]),
                Kind(
                    name: "erspan II", tunnel: tunnel(.erspan) { $0.identifier = 12 },
                    fields: [
                        ("erspan.version", "1", "1"), ("erspan.spanid", "12", "12"), ("erspan.index", "0", "1"),
                        ("gre.sequence_number", "\(1 << 30)", "\(1 << 30 + 1)"),
                    ]),
                Kind(
                    name: "erspan III",
                    tunnel: tunnel(.erspan) {
                        $0.version = 2
                        $0.outboundIdentifier = 1_023
                        $0.inboundIdentifier = 13
                    },
                    fields: [
                        ("erspan.version", "2", "2"), ("erspan.spanid", "1023", "13"), ("erspan.direction", "0", "1"),
                        ("erspan.p", "1", "1"),
                        ("gre.sequence_number", "\(1 << 30)", "\(1 << 30 + 1)"),
                    ]),
            ]
        }

        private static let cases = [false, true].flatMap { isIPv6 in
            kinds(isIPv6 ? "fd09::2" : "10.9.0.2").map { (isIPv6, $0) }
        }

        @Test("tshark reads it without a warning, and finds in it what was sent", arguments: cases)
        func reads(_ isIPv6: Bool, _ kind: Kind) throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let bench = tapped.bench
            let remote = try #require(IPAddress.bytes(kind.tunnel.remote))
            let path = UnderlayPath(
                ifindex: bench.destinationIndex, device: bench.destination, source: IPAddress.bytes(isIPv6 ? "fd09::1" : "10.9.0.1")!,
                sourceMAC: MACAddress("02:00:00:00:00:0a")!, nextHop: remote, nextHopMAC: MACAddress("02:00:00:00:00:0b")!, mtu: 1_500)
            let header = try #require(TunnelHeader(kind.tunnel, remote: remote, path: path, mtu: nil))
            let route = DestinationRoute(kind: kind.tunnel.kind.destinationKind, ifindex: path.ifindex, tunnel: header)
            try tapped.dataplane.setDestination("far", route)
            var desired = try tapped.desired(to: "far")
            desired.destinationKind = route.kind
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            let (sent, _) = try tapped.exchange(1)
            let tagged = FrameBuilder.udp(2, tags: [3 << 13 | 77])
            try bench.guest.write(tagged)
            var packets = bench.sensor.receive(3)
            #expect(packets.map { Array($0.suffix(sent[0].count)) }.prefix(2) == sent[...])
            #expect(packets.last.map { Array($0.suffix(tagged.count)) } == tagged)
            // Cut, which ERSPAN can say.
            desired.options.snaplen = .bytes(60)
            try tapped.dataplane.replace(desired, at: TappedBench.now)
            try bench.guest.write(sent[0])
            packets += bench.sensor.receive(1)
            #expect(packets.last.map { Array($0.suffix(60)) } == Array(sent[0].prefix(60)))

            let file = FileManager.default.temporaryDirectory.appending(path: "tunnel-\(UUID().uuidString).pcap")
            defer { try? FileManager.default.removeItem(at: file) }
            try Self.capture(packets).write(to: file)
            func tshark(_ words: [String]) throws -> [String] {
                let command =
                    ["-n", "-r", file.path] + ["ip", "udp", "tcp"].flatMap { ["-o", "\($0).check_checksum:TRUE"] }
                    + ["-d", "udp.port==6082,geneve"] + words
                let quoted = command.map { "'\($0)'" }.joined(separator: " ")
                let text = try run("sh", "-c", "tshark \(quoted) 2>/dev/null")
                return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            }
            // 0x600000: a warning. A cut frame is short of what its headers say.
            #expect(try tshark(["-Y", "_ws.expert.severity >= 0x600000 && frame.number < 4"]).filter { !$0.isEmpty } == [])
            let outer = [
                (isIPv6 ? "ipv6.dst" : "ip.dst", kind.tunnel.remote), (isIPv6 ? "ipv6.hlim" : "ip.ttl", "9"),
                (isIPv6 ? "ipv6.tclass.dscp" : "ip.dsfield.dscp", "10"), ("eth.dst", "02:00:00:00:00:0b"),
            ]
            let expected = kind.fields + outer.map { ($0.0, $0.1, $0.1) }
            let names = expected.flatMap { ["-e", $0.0] }
            let found = try tshark(["-T", "fields", "-E", "occurrence=f"] + names).map {
                $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            }
            #expect(found[0] == expected.map(\.1) && found[1] == expected.map(\.2))
            // The innermost frame is the guest's.
            let inner = try tshark(["-T", "fields", "-E", "occurrence=l", "-e", "ip.src", "-e", "udp.dstport"])
            #expect(inner.first == "10.0.0.1\t5000")
            if kind.tunnel.kind == .erspan {
                let names = ["vlan", "cos", "truncated", "timestamp"].flatMap { ["-e", "erspan.\($0)"] }
                let values = try tshark(["-T", "fields"] + names).map { $0.split(separator: "\t", omittingEmptySubsequences: false) }
                #expect(values.prefix(4).map { $0.prefix(3) } == [["0", "0", "0"], ["0", "0", "0"], ["77", "3", "0"], ["0", "0", "1"]])
                if kind.tunnel.version == 2 {
                    // In 100 microseconds, as far as 32 bits go.
                    let now = UInt64(Date().timeIntervalSince1970 * 10_000) & 0xFFFF_FFFF
                    let stamp = try #require(UInt64(values[0][3]))
                    #expect(now - stamp < 600_000, "\(stamp) \(now)")
                }
            }
        }

        /// A pcap file of them.
        private static func capture(_ frames: [[UInt8]]) -> Data {
            func word(_ value: Int) -> [UInt8] { withUnsafeBytes(of: UInt32(value).littleEndian, Array.init) }
            var bytes = word(0xA1B2_C3D4) + [2, 0, 4, 0] + word(0) + word(0) + word(262_144) + word(1)
            for frame in frames { bytes += word(0) + word(0) + word(frame.count) + word(frame.count) + frame }
            return Data(bytes)
        }
    }
}
