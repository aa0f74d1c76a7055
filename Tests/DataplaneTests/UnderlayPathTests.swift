// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import Synchronization
import TapModel
import Testing

extension KernelSuite {
    @Suite("How packets get to another machine")
    struct UnderlayPathTests {
        private static let near4: [UInt8] = [10, 8, 0, 1]
        private static let far4: [UInt8] = [10, 8, 0, 2]
        private static let far6 = IPAddress.bytes("fd08::2")!

        /// This machine with a link to another.
        private struct Link {
            let bench: TestBench
            let name: String
            var device: String { bench.destination }

            init() throws {
                bench = try TestBench()
                name = "road\(bench.number)"
                try run("ip", "netns", "add", name)
                try ip(
                    """
                    link set \(bench.far) netns \(name)
                    addr add 10.8.0.1/24 dev \(bench.destination)

                    """)
                // Or it takes a second until anybody is asked.
                for setting in ["accept_dad", "disable_ipv6"] {
                    try "0".write(toFile: "/proc/sys/net/ipv6/conf/\(bench.destination)/\(setting)", atomically: false, encoding: .utf8)
                }
                try ip("addr add fd08::1/64 dev \(bench.destination) nodad\n")
                try run("ip", "netns", "exec", name, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/\(bench.far)/disable_ipv6")
                try run(
                    "ip", "-n", name, "-batch", "-",
                    input: "link set \(bench.far) up\naddr add 10.8.0.2/24 dev \(bench.far)\naddr add fd08::2/64 dev \(bench.far) nodad\n")
            }

            func remove() { _ = try? run("ip", "netns", "del", name) }

            /// Its own text of itself.
            func farMAC() throws -> MACAddress {
                let words = try run("ip", "-n", name, "-o", "link", "show", bench.far).split(separator: " ").map(String.init)
                let place = try #require(words.firstIndex(of: "link/ether"))
                return try #require(MACAddress(words[place + 1]))
            }
        }

        /// Asks until the next hop is known, for a second at most.
        private func resolved(_ dataplane: KernelDataplane, _ remote: [UInt8], _ source: [UInt8]? = nil) throws -> UnderlayPath {
            var path = try dataplane.path(to: remote, source: source)
            for _ in 0..<50 where path.nextHopMAC == nil {
                usleep(20_000)
                path = try dataplane.path(to: remote, source: source)
            }
            return path
        }

        private func reason(_ dataplane: KernelDataplane, _ remote: String, _ source: String? = nil) -> Reason? {
            do throws(Failure) {
                _ = try dataplane.path(to: IPAddress.bytes(remote)!, source: source.flatMap { IPAddress.bytes($0) })
                return nil
            } catch {
                return error.reason
            }
        }

        @Test("On the link and by a gateway, with the source that the route says or that is given")
        func paths() throws {
            let link = try Link()
            defer { link.remove() }
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            let path = try resolved(dataplane, Self.far4)
            #expect(path.device == link.device && path.ifindex == link.bench.destinationIndex)
            #expect(path.source == Self.near4 && path.nextHop == Self.far4 && path.mtu == 1_500)
            #expect(try path.nextHopMAC == link.farMAC())
            #expect(try dataplane.device(named: link.device)?.mac == path.sourceMAC)
            let path6 = try resolved(dataplane, Self.far6)
            #expect(path6.source == IPAddress.bytes("fd08::1") && path6.nextHop == Self.far6)
            #expect(try path6.nextHopMAC == link.farMAC())

            try ip(
                """
                addr add 10.8.0.9/24 dev \(link.device)
                route add 10.77.0.0/16 via 10.8.0.2 mtu 1400
                route add fd77::/64 via fd08::2 mtu 1380
                route add 10.78.0.0/16 via inet6 fd08::2 dev \(link.device)

                """)
            let far = try resolved(dataplane, [10, 77, 1, 1])
            #expect(far.nextHop == Self.far4 && far.nextHopMAC == path.nextHopMAC && far.mtu == 1_400)
            #expect(try resolved(dataplane, [10, 77, 1, 1], [10, 8, 0, 9]).source == [10, 8, 0, 9])
            let far6 = try resolved(dataplane, IPAddress.bytes("fd77::7")!)
            #expect(far6.nextHop == Self.far6 && far6.mtu == 1_380)
            #expect(try resolved(dataplane, [10, 78, 1, 1]).nextHop == Self.far6)
            #expect(reason(dataplane, "10.8.0.2", "10.99.9.9") == .destinationDown)
        }

        @Test("What nothing can be sent to, and why")
        func refusals() throws {
            let link = try Link()
            defer { link.remove() }
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            try ip(
                """
                route add blackhole 10.81.0.0/16
                route add unreachable 10.82.0.0/16
                tuntap add dev flat\(link.bench.number) mode tun
                link set flat\(link.bench.number) up
                addr add 10.83.0.1/24 dev flat\(link.bench.number)

                """)
            defer { _ = try? run("ip", "link", "del", "flat\(link.bench.number)") }
            for remote in ["203.0.113.1", "2001:db8::1", "10.81.0.1", "10.82.0.1"] {
                #expect(reason(dataplane, remote) == .neighbourUnreachable, "\(remote)")
            }
            for remote in ["10.8.0.1", "fd08::1", "224.0.0.1", "ff02::1", "255.255.255.255", "10.8.0.255"] {
                #expect(reason(dataplane, remote) == .destinationUnsafe, "\(remote)")
            }
            #expect(reason(dataplane, "10.83.0.2") == .notImplemented)
            // Nobody is there.
            #expect(try dataplane.path(to: [10, 8, 0, 200], source: nil).nextHopMAC == nil)
        }

        @Test("Routes and neighbours that change are told, and another address is followed")
        func changes() async throws {
            let link = try Link()
            defer { link.remove() }
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            let path = try resolved(dataplane, Self.far4)
            let monitor = try LinkMonitor(.paths)
            defer { monitor.stop() }
            let count = Mutex(0)
            let listener = Task { for await _ in monitor.changes { count.withLock { $0 += 1 } } }
            defer { listener.cancel() }
            for command in ["route add 10.79.0.0/16 via 10.8.0.2", "route del 10.79.0.0/16", "neigh flush dev \(link.device)"] {
                try await Task.sleep(for: .milliseconds(100))
                let before = count.withLock { $0 }
                try ip(command + "\n")
                for _ in 0..<100 where count.withLock({ $0 }) == before { try await Task.sleep(for: .milliseconds(10)) }
                #expect(count.withLock { $0 } > before, "\(command)")
            }
            try run("ip", "-n", link.name, "link", "set", link.bench.far, "address", "02:00:00:00:77:01")
            try ip("neigh flush dev \(link.device)\n")
            try dataplane.confirm(path)
            #expect(try resolved(dataplane, Self.far4).nextHopMAC == MACAddress("02:00:00:00:77:01"))
        }
    }
}
