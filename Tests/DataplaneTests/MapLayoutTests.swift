// SPDX-License-Identifier: LGPL-2.1-or-later

import CTapABI
import Foundation
import TapModel
import Testing

@testable import Dataplane

/// The layout that is pinned on hosts, in literal numbers: a daemon that changes one of them loses the counters, and the copies until
/// every tap is replaced.
@Suite("The layout of pinned maps")
struct MapLayoutTests {
    @Test("Names, value sizes and entries are those of every build since layout 1")
    func shapes() {
        func described(_ shape: MapLayout.Shape) -> String {
            "\(shape.name) \(shape.variable) \(shape.valueSize) \(shape.entries) \(shape.isPerCPU)"
        }
        #expect(MapLayout.version == 1)
        #expect(described(MapLayout.counters) == "virt_tap_counts tap_counters 16 14 true")
        #expect(described(MapLayout.rate) == "virt_tap_rate tap_rate 8 1 false")
        #expect(described(MapLayout.destinations) == "virt_tap_dests tap_dests 136 1024 false")
        #expect(described(MapLayout.destinationCounters) == "virt_tap_dcount tap_dest_counts 16 9216 true")
        #expect(described(MapLayout.destinationRates) == "virt_tap_drates tap_dest_rates 8 1024 false")
        #expect(described(MapLayout.tunnels) == "virt_tap_tunnel tap_tunnels 128 1024 false")
        #expect(described(MapLayout.sequences) == "virt_tap_seq tap_sequences 4 1024 false")
        #expect(described(MapLayout.sums) == "virt_tap_sums tap_sums 512 1 true")
        #expect(described(MapLayout.hops) == "virt_tap_hops tap_hops 4 1 false")
        #expect(described(MapLayout.backlogs) == "virt_tap_queues tap_backlogs 64 1024 false")
        #expect(described(MapLayout.lastCopies) == "virt_tap_last tap_last 64 1024 true")
    }

    @Test("Each counter is where every build since layout 1 has it")
    func counters() {
        let tap = [
            TAP_COPIED, TAP_FILTERED, TAP_SAMPLED_OUT, TAP_RATE_LIMITED, TAP_ERRORS, TAP_MARKED, TAP_ALREADY_COPIED, TAP_COUNTERS,
        ]
        #expect(tap.map(\.rawValue) == Array(0...7))
        let destination = [
            TAP_DESTINATION_GIVEN, TAP_DESTINATION_ERRORS, TAP_DESTINATION_RATE_LIMITED, TAP_DESTINATION_FRAGMENTED,
            TAP_DESTINATION_TRUNCATED, TAP_DESTINATION_OVERSIZED, TAP_DESTINATION_SPARED, TAP_DESTINATION_WANTED,
            TAP_DESTINATION_LAST_ERROR, TAP_DESTINATION_COUNTERS,
        ]
        #expect(destination.map(\.rawValue) == Array(0...9))
        #expect(CounterMap.index(.outbound, TAP_ERRORS) == 11)
        #expect(CounterMap.index(3, TAP_DESTINATION_SPARED) == 33)
    }

    @Test("Fields are where every build since layout 1 has them")
    func fields() {
        #expect(MemoryLayout<tap_destination>.offset(of: \.ifindex) == 0)
        #expect(MemoryLayout<tap_destination>.offset(of: \.kind) == 4)
        #expect(MemoryLayout<tap_destination>.offset(of: \.flags) == 8)
        #expect(MemoryLayout<tap_destination>.offset(of: \.tunnel) == 12)
        #expect(MemoryLayout<tap_destination>.offset(of: \.limit) == 16)
        #expect(MemoryLayout<tap_destination>.offset(of: \.label) == 40)
        #expect(MemoryLayout<tap_tunnel>.offset(of: \.length) == 80)
        #expect(MemoryLayout<tap_tunnel>.offset(of: \.is_ipv6) == 88)
        #expect(MemoryLayout<tap_tunnel>.offset(of: \.clock_offset) == 112)
        #expect(MemoryLayout<tap_tunnel>.offset(of: \.number) == 120)
        #expect([TAP_DESTINATION_RECEIVES, TAP_DESTINATION_ENCAPSULATES, TAP_DESTINATION_SEGMENTS] == [1, 2, 4])
        #expect(TAP_TUNNEL_UDP.rawValue == 1 && TAP_TUNNEL_ERSPAN_III.rawValue == 4)
        #expect([TAP_OVERSIZE_FRAGMENT, TAP_OVERSIZE_TRUNCATE, TAP_OVERSIZE_DROP].map(\.rawValue) == [0, 1, 2])
    }

    @Test("A tunnel's entry has the bytes that former builds wrote")
    func tunnel() throws {
        let way = SpecificRoute(remote: [192, 0, 2, 7], ifindex: 5)
        let bytes = TunnelEntry(way, of: "far").bytes
        var expected = [UInt8](repeating: 0, count: 128)
        expected[0] = 1
        expected.replaceSubrange(32..<36, with: [192, 0, 2, 7])
        // FNV-1a of "far", and the ifindex.
        expected.replaceSubrange(120..<128, with: withUnsafeBytes(of: TunnelEntry.number(of: "far")) { Array($0) } + [5, 0, 0, 0])
        #expect(TunnelEntry.number(of: "far") == 3_170_376_174)
        #expect(bytes == expected)
        #expect(TunnelEntry.specificRoute(bytes, of: "far")?.remote == way.remote)
        #expect(TunnelEntry.specificRoute(bytes, of: "near") == nil)

        let six = SpecificRoute(remote: Array(1...16), ifindex: 5)
        let entry = TunnelEntry(six, of: "far").bytes
        #expect(Array(entry[40..<56]) == six.remote && entry[88] == 1)
        #expect(TunnelEntry.specificRoute(entry, of: "far")?.remote == six.remote)

        let local = TunnelEntry(mtu: 1_500).bytes
        #expect(Array(local[80..<100]) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xDC, 5, 0, 0, 0xEA, 5, 0, 0])
    }

    /// As the build of commit 2ecf457 wrote it.
    static let formerSpec = """
        {"build":"4711-1",\
        "clsact":{"handle":2,\
        "priority":1},\
        "destinationKind":"interface",\
        "domainName":"web1",\
        "inboundProgram":5,\
        "interface":{"alias":"net0",\
        "device":"vnet1",\
        "isMacvtap":false,\
        "mac":"52:54:00:12:34:56",\
        "type":"bridge"},\
        "key":{"domain":"6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01",\
        "ifindex":2,\
        "origin":"domain",\
        "tap":"x"},\
        "mechanism":"tcx",\
        "since":"2027-01-15T08:00:00Z",\
        "wish":{"destination":"ids",\
        "direction":"both",\
        "finished":true,\
        "mark":{"mask":2130710655,\
        "value":1442844692},\
        "once":true,\
        "sampling":{"packets":{"oneIn":10}},\
        "snaplen":"96"}}
        """

    @Test("A spec that a former build pinned is read, and written as it was")
    func spec() throws {
        let spec = try JSONDecoder().decode(AttachmentSpec.self, from: Data(Self.formerSpec.utf8))
        #expect(spec.domainName == "web1" && spec.options.resolvesOffloads && spec.options.destination == "ids")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        #expect(String(decoding: try encoder.encode(spec), as: UTF8.self) == Self.formerSpec)
    }
}
