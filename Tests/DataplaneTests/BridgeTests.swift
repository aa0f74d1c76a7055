// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension MatrixSuite {
    @Suite("Bridges and their rules")
    struct BridgeTests {
        @Test(
            "A bridge that filters VLANs tags and untags as without us; copies are what crossed the guest's device",
            arguments: Mechanism.possible)
        func filtersVLANs(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let bench = tapped.bench
            try ip("link set \(bench.bridge) type bridge vlan_filtering 1\n")
            for words in [
                ["del", "dev", bench.guest.name, "vid", "1"], ["add", "dev", bench.guest.name, "vid", "10", "pvid", "untagged"],
                ["del", "dev", bench.port, "vid", "1"], ["add", "dev", bench.port, "vid", "10"],
            ] {
                try run("sh", "-c", "exec bridge vlan \(words.joined(separator: " "))")
            }
            let desired = try tapped.attach()
            let outbound = FrameBuilder.udp(1)
            try bench.guest.write(outbound)
            #expect(bench.peer.receive(1) == [FrameBuilder.udp(1, tags: [10])])
            try bench.peer.send(FrameBuilder.udp(2, toGuest: true, tags: [10]))
            let inbound = FrameBuilder.udp(2, toGuest: true)
            #expect(bench.guest.read() == inbound)
            // Another VLAN, and none: neither is for this guest.
            try bench.peer.send(FrameBuilder.udp(3, toGuest: true, tags: [11]))
            try bench.peer.send(FrameBuilder.udp(4, toGuest: true))
            // The guest may not choose a VLAN: it is copied, and goes nowhere.
            let refused = FrameBuilder.udp(5, tags: [11])
            try bench.guest.write(refused)
            #expect(bench.guest.read(within: 200) == nil)
            #expect(bench.peer.receive(0) == [])
            #expect(bench.sensor.receive(3) == [outbound, inbound, refused])
            #expect(try tapped.counters(desired)[.outbound]?.copied == Counter([outbound, refused]))
            #expect(try tapped.counters(desired)[.inbound]?.copied == Counter([inbound]))
        }

        /// As libvirt's nwfilter does it.
        @Test(
            "Frames that ebtables drops are copied where the guest sent them, and not where it would have received them",
            arguments: Mechanism.possible)
        func copiesBeforeRules(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let bench = tapped.bench
            defer { _ = try? run("ebtables", "-F", "FORWARD") }
            let mac = "52:54:00:12:34:56"
            try run("ebtables", "-A", "FORWARD", "-i", bench.guest.name, "-s", "!", mac, "-j", "DROP")
            try run("ebtables", "-A", "FORWARD", "-o", bench.guest.name, "-p", "0x88b5", "-j", "DROP")
            let rules = try run("ebtables", "-L", "FORWARD")
            let desired = try tapped.attach()

            let good = FrameBuilder.udp(1)
            var spoofed = FrameBuilder.udp(2)
            spoofed[11] ^= 1
            for frame in [good, spoofed] { try bench.guest.write(frame) }
            #expect(bench.peer.receive(1) == [good])
            let wanted = FrameBuilder.udp(3, toGuest: true)
            let unwanted = FrameBuilder.guest + FrameBuilder.peer + [0x88, 0xB5] + [UInt8](repeating: 7, count: 60)
            for frame in [unwanted, wanted] { try bench.peer.send(frame) }
            #expect(bench.guest.read() == wanted)
            #expect(bench.guest.read(within: 100) == nil)
            #expect(bench.sensor.receive(3) == [good, spoofed, wanted])
            #expect(try tapped.counters(desired)[.outbound]?.copied == Counter([good, spoofed]))
            #expect(try tapped.counters(desired)[.inbound]?.copied == Counter([wanted]))
            #expect(try run("ebtables", "-L", "FORWARD") == rules)
        }
    }
}
