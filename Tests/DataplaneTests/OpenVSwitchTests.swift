// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

extension MatrixSuite {
    @Suite("Ports of Open vSwitch")
    struct OpenVSwitchTests {
        /// `system` is the kernel's own datapath, `netdev` the one in user space.
        static let datapaths = ["system", "netdev"]

        @Test(
            "Traffic through a port is whole and copied once, and the switch's own limit works beside us", arguments: Mechanism.possible,
            datapaths)
        func copiesAtPorts(_ mechanism: Mechanism, _ datapath: String) throws {
            let tapped = try TappedBench(mechanism)
            let bench = tapped.bench
            let daemons = try OpenVSwitch()
            defer { daemons.stop() }
            try ip("link set \(bench.guest.name) nomaster\nlink set \(bench.port) nomaster\n")
            try run("ovs-vsctl", "--timeout=20", "add-br", "ovs0", "--", "set", "bridge", "ovs0", "datapath_type=\(datapath)")
            for port in [bench.guest.name, bench.port] { try run("ovs-vsctl", "--timeout=20", "add-port", "ovs0", port) }
            // Until the switch forwards, which it tells nobody. What was written before may have waited for it: all of that is through when a
            // frame is that was written after the first came.
            var hasForwarded = false
            for _ in 0..<100 where !hasForwarded {
                try bench.guest.write(FrameBuilder.udp(9_999))
                hasForwarded = bench.peer.receive(within: 100) != nil
            }
            #expect(hasForwarded)
            let last = FrameBuilder.udp(9_998)
            try bench.guest.write(last)
            var frame = bench.peer.receive(within: 10_000)
            while let waited = frame, waited != last { frame = bench.peer.receive(within: 10_000) }
            #expect(frame == last)
            while bench.guest.read(within: 50) != nil {}

            let desired = try tapped.attach()
            let (sent, areWhole) = try tapped.exchange(20)
            #expect(areWhole)
            #expect(bench.sensor.receive(40) == sent)
            let counters = try tapped.counters(desired)
            #expect(counters[.outbound]?.copied == Counter(sent.prefix(20)))
            #expect(counters[.inbound]?.copied == Counter(sent.suffix(20)))
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)

            // The switch limits what a guest sends by an ingress qdisc with a policer, as libvirt does.
            func limit(_ rate: Int) throws -> String {
                try run("ovs-vsctl", "--timeout=20", "set", "interface", bench.guest.name, "ingress_policing_rate=\(rate)")
                return try run("tc", "qdisc", "show", "dev", bench.guest.name)
            }
            let beside = try limit(100_000)
            #expect(beside.contains("qdisc ingress") == (mechanism == .tcx))
            #expect(beside.contains("qdisc clsact") == (mechanism == .clsact), "it does not take our qdisc away")
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            let later = try tapped.exchange(5, from: 500)
            #expect(later.areWhole)
            #expect(bench.sensor.receive(10) == later.sent)
            try tapped.dataplane.detach(desired.key.id)

            #expect(try limit(200_000).contains("qdisc ingress"))
            if mechanism == .clsact {
                let failure = #expect(throws: Failure.self) { try tapped.attach() }
                #expect(failure?.reason == .qdiscConflict)
            } else {
                try tapped.dataplane.detach(try tapped.attach().key.id)
            }
            #expect(try run("tc", "filter", "show", "dev", bench.guest.name, "ingress").contains("police"))
            #expect(try !limit(0).contains("qdisc ingress"))
            #expect(try tapped.exchange(5, from: 600).areWhole)
        }
    }

    /// The switch's two daemons, with files of their own.
    struct OpenVSwitch {
        private static let folder = "/run/openvswitch"

        init() throws {
            try? FileManager.default.removeItem(atPath: Self.folder)
            try FileManager.default.createDirectory(atPath: Self.folder, withIntermediateDirectories: true)
            let database = "\(Self.folder)/conf.db"
            try run("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
            try startDaemon(
                "ovsdb-server \(database) --remote=punix:\(Self.folder)/db.sock --pidfile --detach --no-chdir",
                log: "\(Self.folder)/ovsdb-server.log")
            try run("ovs-vsctl", "--no-wait", "init")
            try run("modprobe", "openvswitch")
            try startDaemon("ovs-vswitchd --pidfile --detach --no-chdir", log: "\(Self.folder)/ovs-vswitchd.log")
        }

        func stop() {
            _ = try? run("ovs-vsctl", "--timeout=20", "--if-exists", "del-br", "ovs0")
            _ = try? run("ovs-appctl", "-T", "10", "exit", "--cleanup")
            _ = try? run("ovs-appctl", "-T", "10", "-t", "ovsdb-server", "exit")
        }
    }
}
