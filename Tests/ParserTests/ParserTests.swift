// SPDX-License-Identifier: LGPL-2.1-or-later

import CTapABI
import CTapParsers
import Foundation
import Testing

/// The parsers of bpf/, compiled for this machine, on the frames that the fuzzer begins with. What they cost and that kernels verify
/// them is tested in DataplaneTests.
@Suite("Parsers of frames")
struct ParserTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let file: String
        let testDescription: String
        let headers: parsed_headers

        init(
            _ file: String, _ what: String, network: UInt32, transport: UInt32, end: UInt32, protocol: UInt32, flow: UInt32,
            isFragment: Bool,
            hasTransport: Bool
        ) {
            self.file = file
            testDescription = what
            headers = parsed_headers(
                network: network, transport: transport, end: end, type: 0, protocol: `protocol`, flow_protocol: flow,
                is_fragment: isFragment,
                has_transport: hasTransport)
        }
    }

    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Corpus/frames")

    private static func frame(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: corpus.appending(path: name))) }

    static let cases: [Case] = [
        Case("tcp", "TCP", network: 14, transport: 34, end: 54, protocol: 6, flow: 6, isFragment: false, hasTransport: true),
        Case(
            "tcp-options", "TCP with options", network: 14, transport: 34, end: 94, protocol: 6, flow: 6, isFragment: false,
            hasTransport: true),
        Case(
            "tcp-ip-options", "TCP after IP options", network: 14, transport: 74, end: 106, protocol: 6, flow: 6, isFragment: false,
            hasTransport: true),
        Case(
            "tcp-offset-too-small", "TCP whose data offset is too small", network: 14, transport: 34, end: 34, protocol: 6, flow: 6,
            isFragment: false, hasTransport: true),
        Case(
            "tcp-offset-too-large", "TCP whose options are not there", network: 14, transport: 34, end: 54, protocol: 6, flow: 6,
            isFragment: false, hasTransport: true),
        Case("udp", "UDP", network: 14, transport: 34, end: 42, protocol: 17, flow: 17, isFragment: false, hasTransport: true),
        Case("icmp", "ICMP", network: 14, transport: 34, end: 42, protocol: 1, flow: 1, isFragment: false, hasTransport: true),
        Case("sctp", "SCTP", network: 14, transport: 34, end: 46, protocol: 132, flow: 132, isFragment: false, hasTransport: true),
        Case("esp", "ESP", network: 14, transport: 34, end: 42, protocol: 50, flow: 50, isFragment: false, hasTransport: true),
        Case(
            "unknown-protocol", "an unknown protocol", network: 14, transport: 34, end: 34, protocol: 253, flow: 253, isFragment: false,
            hasTransport: true),
        Case(
            "fragment-first", "a first fragment", network: 14, transport: 34, end: 42, protocol: 17, flow: 17, isFragment: true,
            hasTransport: true),
        Case(
            "fragment-later", "a later fragment", network: 14, transport: 34, end: 34, protocol: 17, flow: 17, isFragment: true,
            hasTransport: false),
        Case("udp6", "UDP over IPv6", network: 14, transport: 54, end: 62, protocol: 17, flow: 17, isFragment: false, hasTransport: true),
        Case("tcp6", "TCP over IPv6", network: 14, transport: 54, end: 86, protocol: 6, flow: 6, isFragment: false, hasTransport: true),
        Case("icmp6", "ICMPv6", network: 14, transport: 54, end: 62, protocol: 58, flow: 58, isFragment: false, hasTransport: true),
        Case(
            "hop-by-hop", "a hop-by-hop header", network: 14, transport: 62, end: 70, protocol: 17, flow: 17, isFragment: false,
            hasTransport: true),
        Case(
            "extensions-8", "eight extension headers", network: 14, transport: 118, end: 138, protocol: 6, flow: 6, isFragment: false,
            hasTransport: true),
        Case(
            "extensions-9", "nine extension headers, one more than is understood", network: 14, transport: 118, end: 118, protocol: 60,
            flow: 60, isFragment: false, hasTransport: true),
        Case(
            "extension-too-long", "an extension header longer than the frame", network: 14, transport: 54, end: 54, protocol: 60, flow: 60,
            isFragment: false, hasTransport: true),
        Case(
            "fragment6-first", "a first fragment of IPv6", network: 14, transport: 62, end: 70, protocol: 17, flow: 17, isFragment: true,
            hasTransport: true),
        Case(
            "fragment6-later", "a later fragment of IPv6", network: 14, transport: 62, end: 62, protocol: 17, flow: 17, isFragment: true,
            hasTransport: false),
        Case("arp", "ARP", network: 14, transport: 14, end: 42, protocol: 0, flow: 0, isFragment: false, hasTransport: false),
        Case(
            "vlan", "UDP with a VLAN tag", network: 18, transport: 38, end: 46, protocol: 17, flow: 17, isFragment: false,
            hasTransport: true),
        Case(
            "vlan-4", "UDP with four VLAN tags", network: 30, transport: 50, end: 58, protocol: 17, flow: 17, isFragment: false,
            hasTransport: true),
        Case(
            "mpls", "MPLS, which is not understood", network: 14, transport: 14, end: 14, protocol: 0, flow: 0, isFragment: false,
            hasTransport: false),
        Case(
            "short", "a frame without a type", network: 12, transport: 12, end: 12, protocol: 0, flow: 0, isFragment: false,
            hasTransport: false),
        Case(
            "ipv4-short", "half an IPv4 header", network: 14, transport: 14, end: 14, protocol: 0, flow: 0, isFragment: false,
            hasTransport: false),
        Case("vxlan", "VXLAN", network: 14, transport: 34, end: 42, protocol: 17, flow: 17, isFragment: false, hasTransport: true),
        Case(
            "gre", "GRE with Ethernet in it", network: 14, transport: 34, end: 38, protocol: 47, flow: 47, isFragment: false,
            hasTransport: true),
        Case(
            "erspan-2", "ERSPAN type II", network: 14, transport: 34, end: 38, protocol: 47, flow: 47, isFragment: false, hasTransport: true
        ),
        Case(
            "vxlan-in-gre", "VXLAN in GRE", network: 14, transport: 34, end: 38, protocol: 47, flow: 47, isFragment: false,
            hasTransport: true),
    ]

    @Test("Headers end where they do", arguments: cases)
    func headers(_ expected: Case) throws {
        let frame = try Self.frame(expected.file)
        let found = parse_frame(frame, frame.count)
        #expect(found.network == expected.headers.network)
        #expect(found.transport == expected.headers.transport)
        #expect(found.end == expected.headers.end)
        #expect(found.protocol == expected.headers.protocol)
        #expect(found.flow_protocol == expected.headers.flow_protocol)
        #expect(found.is_fragment == expected.headers.is_fragment)
        #expect(found.has_transport == expected.headers.has_transport)
    }

    @Test("No frame of the corpus, nor any that ends early, is read beyond its end")
    func shortFrames() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path(percentEncoded: false)) {
            let frame = try Self.frame(name)
            for length in 0...frame.count {
                // A copy of its own: what is behind it is not the rest of the frame.
                let short = Array(frame[..<length])
                let found = parse_frame(short, length)
                #expect(found.network <= found.transport && found.transport <= found.end, "\(name) of \(length) bytes")
                _ = hash_flow(short, length)
            }
        }
    }

    @Test("A flow has one hash in both directions, also where a later fragment has no ports")
    func flows() throws {
        let frame = try Self.frame("udp")
        var reverse = frame
        for offset in 0..<4 { reverse.swapAt(26 + offset, 30 + offset) }
        for offset in 0..<2 { reverse.swapAt(34 + offset, 36 + offset) }
        #expect(frame != reverse)
        #expect(hash_flow(frame, frame.count) == hash_flow(reverse, reverse.count))
        reverse[35] ^= 1
        #expect(hash_flow(frame, frame.count) != hash_flow(reverse, reverse.count))
        let (first, later) = (try Self.frame("fragment-first"), try Self.frame("fragment-later"))
        #expect(hash_flow(first, first.count) == hash_flow(later, later.count))
        let (first6, later6) = (try Self.frame("fragment6-first"), try Self.frame("fragment6-later"))
        #expect(hash_flow(first6, first6.count) == hash_flow(later6, later6.count))
    }

    /// VXLAN number 5 to 192.0.2.2.
    private static func vxlan() -> tap_tunnel {
        let ip: [UInt8] = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]
        let udp: [UInt8] = [0, 0, 0x12, 0xB5, 0, 0, 0, 0]
        let header = [2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 4, 8, 0] + ip + udp + [8, 0, 0, 0, 0, 0, 0, 0]
        var tunnel = tap_tunnel()
        withUnsafeMutableBytes(of: &tunnel.header.bytes) { $0.copyBytes(from: header) }
        tunnel.length = UInt32(header.count)
        tunnel.kind = TAP_TUNNEL_UDP.rawValue
        tunnel.identifiers = (UInt32(5 << 8).bigEndian, UInt32(6 << 8).bigEndian)
        return tunnel
    }

    @Test("A tunnel's own packets are known again, also inside another tunnel, and nobody else's")
    func ownTunnel() throws {
        var tunnel = Self.vxlan()
        func isOwn(_ name: String) throws -> Bool {
            let frame = try Self.frame(name)
            return carries_tunnel(frame, frame.count, &tunnel)
        }
        #expect(try isOwn("vxlan"))
        #expect(try isOwn("vxlan-in-gre"))
        for name in ["udp", "tcp", "gre", "erspan-2", "udp6", "arp", "short"] { #expect(try !isOwn(name), "\(name)") }
        tunnel.identifiers = (UInt32(7 << 8).bigEndian, UInt32(8 << 8).bigEndian)
        #expect(try !isOwn("vxlan"))
    }

    @Test("Outer headers have lengths, checksum, source port and the direction's number")
    func encapsulates() throws {
        var tunnel = Self.vxlan()
        let frame = try Self.frame("udp")
        for (isOutbound, number) in [(false, UInt8(5)), (true, 6)] {
            var packet = [UInt8](repeating: 0, count: 512)
            let length = encapsulate_frame(frame, frame.count, &tunnel, isOutbound, &packet, packet.count)
            #expect(length == frame.count + 50)
            #expect(Array(packet[50..<Int(length)]) == frame)
            #expect(packet[16..<18] == [0, UInt8(frame.count + 36)])
            #expect(packet[38..<40] == [0, UInt8(frame.count + 16)])
            #expect(packet[34] >= 0xC0 && packet[46..<50] == [0, 0, number, 0])
            let words = stride(from: 14, to: 34, by: 2).map { UInt32(packet[$0]) << 8 | UInt32(packet[$0 + 1]) }
            let sum = words.reduce(0, +)
            #expect((sum & 0xFFFF) + (sum >> 16) == 0xFFFF)
            #expect(carries_tunnel(packet, Int(length), &tunnel))
        }
        var small = [UInt8](repeating: 0, count: frame.count + 49)
        #expect(encapsulate_frame(frame, frame.count, &tunnel, false, &small, small.count) < 0)
    }

    /// While the daemon is upgraded, taps of the former build send copies to the relay of the new one.
    @Test("A copy's message has the words that former builds have, and is read as it was written")
    func messages() {
        func words(_ packed: packed_copy) -> [UInt32] { [packed.words.0, packed.words.1, packed.words.2, packed.words.3, packed.words.4] }
        let truncated = pack_and_unpack(3, 9, 1, 96, true, false, false, true)
        #expect(words(truncated) == [0x7674_A003, 96, 9, 1, 0])
        let whole = pack_and_unpack(1_023, 0xBCF8_19EE, 46, 0, false, true, false, false)
        #expect(words(whole) == [0x7674_43FF, 0xFFFF_FFFF, 0xBCF8_19EE, 46, 0])
        let headers = pack_and_unpack(0, 2, 1, 0xFFFF_FFFF, false, false, true, false)
        #expect(words(headers) == [0x7674_0800, 0, 2, 1, 0])
        for packed in [truncated, whole, headers] { #expect(packed.is_message && packed.is_same) }
    }
}
