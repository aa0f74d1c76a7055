// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

extension KernelSuite {
    /// The sensor's network is one of two that the host has; the default route is by the other.
    @Suite("No copy leaves by a way that it must not take")
    struct UnderlayLeakTests {
        /// The host with its two links, and what comes out at the far end of each.
        private struct TwoLinks {
            let tapped: TappedBench
            let kind: ReceiverKind
            let gate: PacketSocket
            /// The way to the sensor, at whose far end is `bench.sensor`.
            let right: String
            /// The way to the gateway of the default route.
            let wrong: String
            let gateway: String
            private var six: String { kind.isIPv6 ? "-6 " : "" }
            var remote: [UInt8] { IPAddress.bytes(TunnelReceiver.address(kind.isIPv6))! }
            var dataplane: KernelDataplane { tapped.dataplane }

            init(_ kind: ReceiverKind) throws {
                self.kind = kind
                tapped = try TappedBench(try #require(Mechanism.here.first))
                let number = tapped.bench.number
                (right, wrong) = (tapped.bench.destination, "way\(number)")
                gateway = kind.isIPv6 ? "fd51::1" : "198.51.100.1"
                try ip("link add \(wrong) type veth peer name gate\(number)\nlink set gate\(number) up\nlink set \(right) down\n")
                for device in [right, wrong] {
                    for (setting, value) in [("accept_dad", "0"), ("disable_ipv6", kind.isIPv6 ? "0" : "1")] {
                        try value.write(
                            toFile: "/proc/sys/net/ipv6/conf/\(device)/\(setting)", atomically: false, encoding: .utf8)
                    }
                }
                gate = try PacketSocket(on: "gate\(number)")
                try ip(
                    """
                    link set \(wrong) up
                    addr add \(kind.isIPv6 ? "fd51::2/64 nodad" : "198.51.100.2/24") dev \(wrong)
                    neigh replace \(gateway) lladdr 02:00:00:00:00:51 dev \(wrong) nud permanent

                    """)
                try run("env", "-S", "ip \(six)route add default via \(gateway) dev \(wrong)")
                var desired = try tapped.desired(.outbound, to: "far")
                desired.destinationKind = kind.kind.destinationKind
                _ = try settle()
                try dataplane.attach(desired, at: TappedBench.now)
            }

            func remove() {
                _ = try? dataplane.purge()
                _ = try? run("ip", "link", "del", wrong)
            }

            func giveAddress() throws {
                try ip("addr add \(TunnelReceiver.sender(kind.isIPv6))/\(kind.isIPv6 ? "64 nodad" : "24") dev \(right)\n")
            }

            func takeAddress() throws {
                try ip("addr del \(TunnelReceiver.sender(kind.isIPv6))/\(kind.isIPv6 ? "64" : "24") dev \(right)\n")
            }

            func setUp() throws {
                try ip(
                    """
                    link set \(right) up
                    neigh replace \(TunnelReceiver.address(kind.isIPv6)) lladdr 02:00:00:00:00:09 dev \(right) nud permanent

                    """)
                // The kernel makes IPv6's routes a moment later.
                for _ in 0..<100 where (try? dataplane.path(to: remote, source: nil).device) != right { usleep(20_000) }
            }

            func addRoute() throws {
                let bits = kind.isIPv6 ? 128 : 32
                try run("env", "-S", "ip \(six)route add \(TunnelReceiver.address(kind.isIPv6))/\(bits) via \(gateway) dev \(wrong)")
            }

            /// What the daemon does: decides where copies go now, and tells the kernel.
            @discardableResult
            func settle(
                _ label: String = "far", isNextDaemon: Bool = false, knowing known: [[UInt8]: String] = [:],
                _ change: (inout Tunnel) -> Void = { _ in }
            ) throws -> DestinationVerdict {
                var tunnel = kind.tunnel(isSplit: false)
                change(&tunnel)
                let query = try #require(UnderlayQuery(tunnel))
                let devices = DeviceTable(try dataplane.devices())
                let ways =
                    isNextDaemon
                    ? try KernelDataplane(bpffs: tapped.bench.bpffs).specificRoutes().mapValues { devices[$0]?.name ?? "" } : known
                let host = HostState(
                    configuration: HostConfiguration(), devices: devices, claims: DeviceClaims(),
                    paths: [query: Result { () throws(Failure) in try dataplane.path(for: query) }], specificRoutes: ways,
                    mechanism: .success(.tcx))
                let definition = DestinationDefinition(name: try #require(TapName(label)), target: .tunnel(tunnel))
                let verdict = try DestinationEvaluation.evaluate(definition, host: host).get()
                try dataplane.setDestination(label, verdict.route)
                return verdict
            }

            /// Five frames of the guest: how many copies came out at the sensor's and at the gateway's end. None is lost to the guest.
            func flow() throws -> [Int] {
                for number in 0..<5 { try tapped.bench.guest.write(FrameBuilder.udp(number, payload: 100)) }
                #expect(tapped.bench.peer.receive(5).count == 5)
                return [tapped.bench.sensor, gate].map { socket in
                    var count = 0
                    // What is to come has come when the first has waited.
                    while let frame = socket.receive(within: socket === gate ? 20 : 100) { if isCopy(frame) { count += 1 } }
                    return count
                }
            }

            /// Not what the two ends tell their neighbours.
            private func isCopy(_ frame: [UInt8]) -> Bool {
                let (place, number) = kind.isIPv6 ? (38, 20) : (30, 23)
                return frame.count > 100 && Array(frame[place..<(place + remote.count)]) == remote && [17, 47].contains(frame[number])
            }
        }

        private static let sensor = [5, 0]
        private static let gateway = [0, 5]
        private static let nobody = [0, 0]
        static let kinds = ReceiverKind.all(isIPv6: false) + ReceiverKind.all(isIPv6: true)

        @Test("The sensor's network comes up, goes, and is replaced: every kind, by IPv4 and by IPv6", arguments: kinds)
        func wayward(_ kind: ReceiverKind) throws {
            let links = try TwoLinks(kind)
            defer { links.remove() }
            let sender = TunnelReceiver.sender(kind.isIPv6)
            let byDevice: (inout Tunnel) -> Void = { $0.device = links.right }
            let bySource: (inout Tunnel) -> Void = { $0.source = sender }
            func expect(
                _ reason: Reason?, _ says: String, at ends: [Int], isNextDaemon: Bool = false, _ change: (inout Tunnel) -> Void = { _ in }
            )
                throws
            {
                let verdict = try links.settle(isNextDaemon: isNextDaemon, change)
                #expect(verdict.failure?.reason == reason, "\(verdict.failure?.message ?? "active")")
                let message = verdict.failure?.message ?? verdict.remark?.message ?? ""
                #expect(says.isEmpty ? message.isEmpty : message.contains(says), "\(message)")
                #expect(try links.flow() == ends, "\(says)")
            }

            // Nothing is known of the sensor's network: the path is reported, and what is asked for is kept.
            try expect(nil, "by the default route, by \(links.wrong) and the gateway \(links.gateway), unencrypted", at: Self.gateway)
            try expect(
                .destinationDown,
                "device \(links.right) is down, through which \(TunnelReceiver.address(kind.isIPv6)) is to be reached (device=)",
                at: Self.nobody, byDevice)
            try expect(.destinationDown, "\(sender) is not an address of this host", at: Self.nobody, bySource)
            try expect(.destinationDown, "device nosuch0 does not exist", at: Self.nobody) { $0.device = "nosuch0" }
            // The default route is right where somebody says so.
            try expect(nil, "", at: Self.gateway) { $0.device = links.wrong }

            // An address says which network is whose, before the device is up.
            try links.giveAddress()
            try expect(.destinationDown, "is in the network of \(links.right) (\(sender)/", at: Self.nobody)
            try expect(.destinationDown, "is down", at: Self.nobody, byDevice)
            try expect(.destinationDown, sender, at: Self.nobody, bySource)

            // It comes up.
            try links.setUp()
            try expect(nil, "", at: Self.sensor, byDevice)
            try expect(nil, "", at: Self.sensor, bySource)
            try expect(nil, "", at: Self.sensor)

            // Its route goes while copies are made. The kernel changes nothing by itself, and who looks again does not follow.
            try links.takeAddress()
            #expect(try links.dataplane.path(to: links.remote, source: nil).device == links.wrong)
            #expect(try links.flow() == Self.sensor)
            try expect(
                .defaultRoute, "had a route of its own, by \(links.right), and now has only the default route", at: Self.nobody,
                isNextDaemon: true)
            // Once more: what is known outlasts that.
            try expect(.defaultRoute, "device=\"\(links.wrong)\"", at: Self.nobody, isNextDaemon: true)
            try expect(.destinationDown, "no route to", at: Self.nobody, isNextDaemon: true, byDevice)
            try expect(.destinationDown, "not an address of this host", at: Self.nobody, isNextDaemon: true, bySource)
            // Whoever accepts it has said so for good.
            try expect(nil, "", at: Self.gateway, isNextDaemon: true) { $0.device = links.wrong }
            #expect(try links.dataplane.specificRoutes().isEmpty)

            // A route of its own by the other link is one that somebody made on purpose, but not what was asked for.
            try links.giveAddress()
            try links.setUp()
            try expect(nil, "", at: Self.sensor)
            try links.addRoute()
            try expect(nil, "", at: Self.gateway)
            try expect(nil, "", at: Self.sensor, byDevice)
            try expect(.destinationDown, "source \(sender) is an address of \(links.right), which is up", at: Self.nobody, bySource)
            // Without the smaller one there is no other way by that device, even of the link's own network.
            try links.takeAddress()
            try expect(.destinationDown, "no route to", at: Self.nobody, byDevice)
        }

        /// One by IPv4 and one by IPv6: what is kept of a way is the same for all kinds.
        @Test(
            "What is refused before anything was sent stays so for the next daemon, and under another name",
            arguments: [kinds[0], kinds[6]])
        func remembered(_ kind: ReceiverKind) throws {
            let links = try TwoLinks(kind)
            defer { links.remove() }
            let right = try #require(try links.dataplane.device(named: links.right)).index
            func expectRefusal(of label: String = "far", isNextDaemon: Bool = true, knowing known: [[UInt8]: String] = [:]) throws {
                let verdict = try links.settle(label, isNextDaemon: isNextDaemon, knowing: known)
                #expect(verdict.failure?.reason == .defaultRoute, "\(verdict.failure?.message ?? "active")")
                #expect(verdict.failure?.message.contains("by \(links.right), and now") == true)
                #expect(try links.flow() == Self.nobody)
                #expect(try links.dataplane.destinations().first { $0.label == label }?.ifindex == 0)
                #expect(try links.dataplane.specificRoutes() == [links.remote: right])
            }
            // Only the daemon has seen the route, and the kernel's map has the default one.
            #expect(try links.flow() == Self.gateway)
            try expectRefusal(isNextDaemon: false, knowing: [links.remote: links.right])
            try expectRefusal()
            try expectRefusal()

            // As a destination that was never in the kernel's map.
            var desired = try links.tapped.desired(.outbound, to: "other")
            desired.destinationKind = kind.kind.destinationKind
            try links.settle("other", isNextDaemon: true)
            try links.dataplane.replace(desired, at: TappedBench.now)
            try links.dataplane.forgetDestination("far")
            try expectRefusal(of: "other")
            try expectRefusal(of: "other")

            // It works as any other when its route is back.
            try links.giveAddress()
            try links.setUp()
            #expect(try links.settle("other", isNextDaemon: true).failure == nil)
            #expect(try links.flow() == Self.sensor)
        }

        @Test("A destination that is stopped is known by its device", arguments: [kinds[0], kinds[6]])
        func stopped(_ kind: ReceiverKind) throws {
            let links = try TwoLinks(kind)
            defer { links.remove() }
            try links.giveAddress()
            try links.setUp()
            let tunnel = try #require(try links.settle().route.tunnel)
            #expect(try links.flow() == Self.sensor)
            // As `<limit>` does it.
            try links.dataplane.setDestination("far", DestinationRoute(kind: kind.kind.destinationKind, ifindex: 0, tunnel: tunnel))
            #expect(try links.flow() == Self.nobody)
            let right = try #require(try links.dataplane.device(named: links.right)).index
            #expect(try links.dataplane.specificRoutes() == [links.remote: right])
        }

        @Test("Which addresses devices have, also those that are down, and whose network is on their links")
        func addresses() throws {
            let bench = try TestBench()
            try "0".write(toFile: "/proc/sys/net/ipv6/conf/\(bench.destination)/disable_ipv6", atomically: false, encoding: .utf8)
            try ip(
                """
                link set \(bench.destination) down
                addr add 10.9.0.1/24 dev \(bench.destination)
                addr add 10.9.1.1 peer 10.9.1.2/32 dev \(bench.destination)
                addr add fd09::1/64 dev \(bench.destination) nodad

                """)
            let device = try #require(try KernelDataplane(bpffs: bench.bpffs).devices().first { $0.name == bench.destination })
            #expect(!device.isUp && device.hasAddress)
            #expect(
                Set(device.addresses)
                    == [
                        DeviceAddress([10, 9, 0, 1], prefixLength: 24)!,
                        DeviceAddress([10, 9, 1, 1], peer: [10, 9, 1, 2], prefixLength: 32)!,
                        DeviceAddress(IPAddress.bytes("fd09::1")!, prefixLength: 64)!,
                    ])
        }
    }
}
