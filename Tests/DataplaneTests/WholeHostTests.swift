// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

extension MatrixSuite {
    /// libvirtd, hook, daemon and command together. The guest is started and stays paused, since a guest in an emulated
    /// machine would take minutes: what it receives is copied all the same.
    @Suite("Hook and daemon with libvirtd")
    struct WholeHostTests {
        private static let programs = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path

        @Test("A guest is tapped when it starts, through the daemon's death, until it ends", arguments: [Mechanism.clsact])
        func tapsAGuestForLife(_ mechanism: Mechanism) throws {
            let bench = try TestBench()
            let host = try MatrixLibvirtd.running()
            try run("mkdir", "-p", "/etc/virt-tap")
            try """
            <virt-tap><mechanism name="\(mechanism.rawValue)"/>
              <destination name="ids"><interface name="\(bench.destination)"/></destination></virt-tap>
            """.write(toFile: "/etc/virt-tap/config.xml", atomically: false, encoding: .utf8)
            try run("ln", "-sfn", "\(Self.programs)/virt-tap", "\(MatrixLibvirtd.hookBinaries)/virt-tap")
            defer { _ = try? run("rm", "-f", "\(MatrixLibvirtd.hookBinaries)/virt-tap") }
            try startTapd()
            defer { _ = try? stopTapd("TERM") }
            try eventually("the daemon is connected") { try status().daemon.connected == true }

            let device = try host.start("whole", metadata: "<tap xmlns='urn:virt-tap:1' to='ids'/>")
            defer { _ = try? host.virsh("destroy whole") }
            // The hook waited for it.
            let first = try #require(try status().taps.first)
            #expect(first.state == .active, "\(first.message ?? "")")
            #expect(first.interfaces.map(\.mechanism) == [mechanism])
            #expect(first.interfaces.first?.device == device)
            #expect(first.warnings.contains { $0.reason == .hookMissing } == false)

            try ip("link set \(bench.port) master \(host.bridge)\n")
            let frames = (0..<5).map { FrameBuilder.udp($0, toGuest: true) }
            for frame in frames { try bench.peer.send(frame) }
            #expect(bench.sensor.receive(5) == frames)

            try stopTapd("KILL")
            for frame in frames { try bench.peer.send(frame) }
            #expect(bench.sensor.receive(5) == frames)
            try startTapd()
            try eventually("the daemon knows the domain again") {
                let tap = try status().taps.first
                return tap?.state == .active && tap?.running == true
            }
            let adopted = try #require(try status().taps.first?.interfaces.first)
            #expect(adopted.inbound?.copied == Counter(frames + frames))
            #expect(adopted.since == first.interfaces.first?.since)

            try host.virsh("destroy whole")
            try eventually("nothing is left") {
                try FileManager.default.contentsOfDirectory(atPath: "/sys/fs/bpf/virt-tap/1").allSatisfy {
                    // What all taps share.
                    $0.hasPrefix("destination") || ["backlogs", "hops", "last-copies", "sequences", "tunnels"].contains($0)
                }
            }
        }

        private func status() throws -> StatusDocument {
            try JSONDecoder().decode(StatusDocument.self, from: Data(run("\(Self.programs)/virt-tap", "status", "--json").utf8))
        }

        private func startTapd() throws {
            try startDaemon(
                "sh -c '\(UnitRights.launcher) \(Self.programs)/virt-tapd & echo $! >/run/matrix-virt-tapd.pid'",
                log: "/run/matrix-virt-tapd.log")
            try eventually("the daemon answers") { (try? status()) != nil }
        }

        private func stopTapd(_ signal: String) throws {
            try run("sh", "-c", "kill -\(signal) $(cat /run/matrix-virt-tapd.pid)")
            try eventually("the daemon has ended") { (try? status()) == nil }
        }

        private func eventually(_ what: String, _ condition: () throws -> Bool) throws {
            for _ in 0..<60 {
                if try condition() { return }
                usleep(500_000)
            }
            throw CallFailure("waiting for: \(what)\n" + (try run("tail", "-n", "20", "/run/matrix-virt-tapd.log")))
        }
    }
}
