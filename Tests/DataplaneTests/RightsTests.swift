// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import PacketFilter
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    /// What is installed must be what is tested: the verifier asks more of a program the less its loader may do.
    @Suite("With the rights of the unit")
    struct RightsTests {
        private static let samplings: [Sampling?] = [nil, .packets(oneIn: 16), .flows(oneIn: 16)]
        private static let snaplens: [Snaplen?] = [nil, .bytes(128), .headers]
        private static let rates: [RateLimit?] = [
            nil, RateLimit(perSecond: 1_000, unit: .packetsPerSecond, burst: 10, text: "", burstText: nil),
        ]

        /// One of each shape that a translated filter can have: none, one load, chains, variable offsets, scratch memory, tags in
        /// metadata, and as many branches as there may be.
        private static let filters: [String?] = [
            nil, "ip", "not port 443", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
            "udp portrange 1000-2000 or icmp6", "vlan and ip", "len > 100 or broadcast",
            (1...200).map { "host 10.1.\($0 / 250).\($0 % 250)" }.joined(separator: " or "),
        ]

        /// Every choice that makes another program of the object.
        private static let allOptions: [CopyOptions] = samplings.flatMap { sampling in
            snaplens.flatMap { snaplen in
                rates.flatMap { rate in
                    [false, true].flatMap { once in
                        [false, true].map { resolves in
                            CopyOptions(
                                direction: .both, destination: "ids", mark: PacketMark(), snaplen: snaplen, sampling: sampling, rate: rate,
                                once: once, resolvesOffloads: resolves)
                        }
                    }
                }
            }
        }

        @Test("This process has the capabilities of packaging/systemd/virt-tapd.service and no others")
        func isLowered() throws {
            try #require(UnitRights.areGiven, "run the tests by `make test`, which says what the unit has")
            let unit = try run(UnitRights.launcher, "--capabilities").trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(UnitRights.effective == UInt64(unit, radix: 16))
            // Also where somebody has more to hand down, as container runtimes do.
            let status = try run("setpriv", "--inh-caps", "+sys_admin,+chown", UnitRights.launcher, "cat", "/proc/self/status")
            for set in ["CapEff", "CapPrm", "CapBnd"] { #expect(status.contains("\n\(set):\t\(unit)\n"), "\(set)") }
            // CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, and would hide that one is missing.
            #expect(UnitRights.effective & 1 << 21 == 0)
        }

        @Test("Every program loads: each combination of options, direction and kind of filter", arguments: Direction.allCases)
        func loadsEverything(_ direction: Direction) throws {
            let tapped = try TappedBench(.best)
            let dataplane = tapped.dataplane
            let maps = TapProgram.Maps(
                counters: try MapLayout.counters.make(dataplane.kernel), shared: try SharedMaps(unpinned: dataplane.kernel),
                rate: try dataplane.createRateMap())
            let functions = try Self.filters.map { expression in
                try expression.map {
                    try FilterTranslation.translate(
                        ClassicProgram(CompiledFilter(pcap: $0).instructions.map { ClassicInstruction(word: $0) }))
                } ?? []
            }
            var loaded = Set<String>()
            var refused: [String] = []
            for (number, options) in Self.allOptions.enumerated() {
                for (place, filter) in functions.enumerated() {
                    // Where each load takes a quarter of a second: every combination of options once, with each filter in its turn.
                    if KernelSuite.isEmulated, place != (number + (direction == .inbound ? 0 : 4)) % functions.count { continue }
                    let constants = TapProgram.Constants(direction: direction, options: options, destinationSlot: 0, filter: filter)
                    do {
                        _ = try TapProgram.load(constants, maps, dataplane.kernel)
                        loaded.insert("\(number) \(direction) \(place)")
                    } catch {
                        refused.append("\(direction), \(options), filter \(Self.filters[place] ?? "none"): \(Self.words(error))")
                    }
                }
            }
            #expect(refused.isEmpty, "\(refused.count) of them; the first: \(refused.first ?? "")")
            #expect(Self.allOptions.count == 72)
            #expect(loaded.count == Self.allOptions.count * (KernelSuite.isEmulated ? 1 : functions.count))
        }

        @Test("Every kind of destination gets copies, by each mechanism, whole, filtered and truncated", arguments: Mechanism.here)
        func attachesForEveryDestination(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            // Keeps the devices that cut and wrap from being made and removed each time; nothing comes in.
            try tapped.attach(.inbound, tap: "holder") { $0.snaplen = .bytes(96) }
            var attached = 0
            var routes: [(String, DestinationRoute)] = [
                ("interface", DestinationRoute(kind: .interface, ifindex: tapped.bench.destinationIndex)),
                ("domain", DestinationRoute(kind: .domain, ifindex: tapped.bench.destinationIndex)),
            ]
            for isIPv6 in [false, true] {
                for receiver in ReceiverKind.all(isIPv6: isIPv6) {
                    let tunnel = receiver.tunnel(isSplit: false)
                    let remote = try #require(IPAddress.bytes(tunnel.remote))
                    let path = UnderlayPath(
                        ifindex: tapped.bench.destinationIndex, device: tapped.bench.destination, source: remote,
                        sourceMAC: try #require(MACAddress("02:00:00:00:00:01")), nextHop: remote,
                        nextHopMAC: try #require(MACAddress("02:00:00:00:00:02")), mtu: 1_500)
                    let header = try #require(TunnelHeader(tunnel, remote: remote, path: path, mtu: nil))
                    routes.append(
                        (
                            "\(receiver) \(isIPv6)",
                            DestinationRoute(kind: tunnel.kind.destinationKind, ifindex: path.ifindex, tunnel: header)
                        ))
                }
            }
            for (label, route) in routes {
                try tapped.dataplane.setDestination(label, route)
                let choices: [(inout CopyOptions) -> Void] = [{ _ in }, { $0.filter = "ip or ip6" }, { $0.snaplen = .bytes(96) }]
                for choose in choices {
                    var desired = try tapped.desired(tap: "rights", to: label, choose)
                    desired.destinationKind = route.kind
                    try tapped.dataplane.attach(desired, at: TappedBench.now)
                    try tapped.bench.guest.write(FrameBuilder.udp(attached))
                    #expect(tapped.bench.peer.receive(1) == [FrameBuilder.udp(attached)])
                    #expect(tapped.bench.sensor.receive(1).count == 1, "\(label): copy \(attached)")
                    let counters = try #require(try tapped.counters(desired)[.outbound])
                    #expect(counters.copied.packets == 1 && counters.errors.packets == 0, "\(label): copy \(attached)")
                    try tapped.dataplane.detach(desired.key.id)
                    attached += 1
                }
            }
            #expect(attached == 14 * 3)
        }

        @Test(
            "Without any one of its capabilities no tap is placed: none is there for nothing", arguments: ["bpf", "net_admin", "perfmon"])
        func needsEach(_ name: String) throws {
            let numbers: [String: UInt64] = ["net_admin": 12, "perfmon": 38, "bpf": 39]
            let tapped = try TappedBench(.best)
            let lowered = UnitRights.effective & ~(1 << (try #require(numbers[name])))
            let failure = #expect(throws: Failure.self) { try UnitRights.with(lowered) { try tapped.attach() } }
            #expect([.permissionDenied, .attachFailed].contains(failure?.reason), "\(failure?.message ?? "it was placed")")
            #expect(try tapped.dataplane.attachments() == [])
            // The same with it.
            try tapped.attach()
            #expect(try tapped.exchange(2).areWhole)
        }

        private static func words(_ error: any Error) -> String {
            guard let error = error as? KernelError else { return "\(error)" }
            return "\(error) \(error.log?.suffix(600) ?? "")"
        }
    }
}
