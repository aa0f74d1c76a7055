// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("Pins of a former build")
    struct FormerPinsTests {
        /// What the build of commit 2ecf457 pinned below virt-tap/1, in literal numbers.
        private static let former: [(pin: String, name: String, isPerCPU: Bool, valueSize: UInt32, entries: UInt32)] = [
            ("destinations", "virt_tap_dests", false, 136, 1_024),
            ("destination-counters", "virt_tap_dcount", true, 16, 9_216),
            ("destination-rates", "virt_tap_drates", false, 8, 1_024),
            ("tunnels", "virt_tap_tunnel", false, 128, 1_024),
            ("sequences", "virt_tap_seq", false, 4, 1_024),
            ("backlogs", "virt_tap_queues", false, 64, 1_024),
            ("hops", "virt_tap_hops", false, 4, 1),
            ("last-copies", "virt_tap_last", true, 64, 1_024),
        ]

        private func bytes(_ numbers: UInt32...) -> [UInt8] { numbers.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) } }

        @Test("Maps are adopted with what is in them, and counted on in")
        func adoptsMaps() throws {
            var tapped = try TappedBench(Mechanism.here[0])
            defer { _ = try? tapped.dataplane.purge() }
            _ = try tapped.dataplane.purge()
            let layout = tapped.bench.bpffs + "/virt-tap/1"
            for path in [tapped.bench.bpffs + "/virt-tap", layout] { try #require(mkdir(path, 0o700) == 0 || errno == EEXIST) }
            var maps: [String: CInt] = [:]
            defer { for map in maps.values { close(map) } }
            for map in Self.former {
                let type = map.isPerCPU ? BPF_MAP_TYPE_PERCPU_ARRAY : BPF_MAP_TYPE_ARRAY
                let made = bpf_map_create(type, map.name, 4, map.valueSize, map.entries, nil)
                try #require(made >= 0 && bpf_obj_pin(made, "\(layout)/\(map.pin)") == 0)
                maps[map.pin] = made
            }
            // Slot 2 is that of "ids": ifindex, kind 1 (an interface), flags, tap_tunnel.number, no limit, label.
            let label = Array("ids".utf8) + [UInt8](repeating: 0, count: 93)
            let destination = bytes(tapped.bench.destinationIndex, 1, 0, 0) + [UInt8](repeating: 0, count: 24) + label
            // It was given 7 packets of 700 bytes, by the first CPU.
            let given = bytes(7, 0, 700, 0) + [UInt8](repeating: 0, count: 16 * (Int(libbpf_num_possible_cpus()) - 1))
            for (pin, index, value) in [("destinations", UInt32(2), destination), ("destination-counters", 18, given)] {
                try #require(withUnsafePointer(to: index) { bpf_map_update_elem(maps[pin] ?? -1, $0, value, 0) } == 0)
            }

            tapped.dataplane = KernelDataplane(bpffs: tapped.bench.bpffs)
            #expect(try tapped.dataplane.destinations().map(\.label) == ["ids"])
            #expect(try tapped.dataplane.destinations().map(\.sent) == [Counter(packets: 7, bytes: 700)])
            let areNew = try tapped.dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex, rate: nil)
            #expect(!areNew)
            let desired = try tapped.attach()
            let (sent, areWhole) = try tapped.exchange(5)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(10) == sent)
            #expect(try tapped.dataplane.destinations().map(\.sent.packets) == [17])
            // Those are the maps that were there.
            let program = try #require(try tapped.dataplane.openProgram(desired.key.id, .outbound))
            let ids = try tapped.dataplane.kernel.maps(of: program)
            for pin in ["destinations", "destination-counters", "tunnels", "backlogs", "hops"] {
                var info = bpf_map_info()
                #expect(clibbpf_map_info(maps[pin] ?? -1, &info) == 0 && ids.contains(info.id), "\(pin)")
            }
        }
    }
}
