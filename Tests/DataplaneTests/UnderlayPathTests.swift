// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

extension KernelSuite {
    @Suite("How packets get to another machine")
    struct UnderlayPathTests {
        private static let near4: [UInt8] = [10, 8, 0, 1]
        private static let far4: [UInt8] = [10, 8, 0, 2]
        private static let far6 = IPAddress.bytes("fd08::2")!

        /// Asks until the next hop is known, for a second at most.
        private func resolved(_ dataplane: KernelDataplane, _ remote: [UInt8], _ source: [UInt8]? = nil) throws -> UnderlayPath {
            var path = try dataplane.path(to: remote, source: source)
            for _ in 0..<50 where path.nextHopMAC == nil {
                usleep(20_000)
                path = try dataplane.path(to: remote, source: source)
            }
            return path
        }

        /// Whether something becomes so within so many seconds.
        private func comes(within seconds: Double = 2, _ condition: () throws -> Bool) rethrows -> Bool {
            for _ in 0..<Int(seconds * 50) {
                if try condition() { return true }
                usleep(20_000)
            }
            return false
        }

        private func failure(_ dataplane: KernelDataplane, _ remote: String, _ source: String? = nil) -> Failure? {
            do throws(Failure) {
                _ = try dataplane.path(to: IPAddress.bytes(remote)!, source: source.flatMap { IPAddress.bytes($0) })
                return nil
            } catch {
                return error
            }
        }

        private func reason(_ dataplane: KernelDataplane, _ remote: String, _ source: String? = nil) -> Reason? {
            failure(dataplane, remote, source)?.reason
        }

        @Test("On the link and by a gateway, with the source that the route says or that is given")
        func paths() throws {
            let link = try UnderlayLink()
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

            try ip("addr add fd08::9/64 dev \(link.device) nodad\n")
            // The kernel makes its route a moment later.
            #expect(comes { failure(dataplane, "fd08::2", "fd08::9") == nil })
            #expect(try resolved(dataplane, Self.far6, IPAddress.bytes("fd08::9")).source == IPAddress.bytes("fd08::9"))
            #expect(reason(dataplane, "fd08::2", "fd99::9") == .destinationDown, "for which the kernel has a route all the same")

            try ip("link set \(link.device) mtu 1350\n")
            #expect(try dataplane.path(to: Self.far4, source: nil).mtu == 1_350)
            #expect(try dataplane.path(to: [10, 77, 1, 1], source: nil).mtu == 1_350)
        }

        @Test("For how many bits a route is, and only routes by the device that is asked for")
        func whichRoute() throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            let other = "side\(link.bench.number)"
            try ip("link add \(other) type veth peer name \(other)x\nlink set \(other)x up\n")
            defer { _ = try? run("ip", "link", "del", other) }
            for setting in ["accept_dad", "disable_ipv6"] { try link.set("ipv6/conf/\(other)/\(setting)", "0") }
            try ip(
                """
                link set \(other) up
                addr add 198.51.100.2/24 dev \(other)
                addr add fd51::2/64 dev \(other) nodad
                route add default via 198.51.100.1 dev \(other) metric 10
                route add default via 10.8.0.2 dev \(link.device) metric 20
                route add default via fd51::1 dev \(other) metric 10
                route add default via fd08::2 dev \(link.device) metric 20
                route add 10.77.0.0/16 nexthop via 198.51.100.1 dev \(other) nexthop via 10.8.0.2 dev \(link.device)
                route add 10.78.0.0/15 via 198.51.100.1 dev \(other)
                route add fd78::/48 via fd51::1 dev \(other)

                """)
            func path(_ remote: String, _ device: String? = nil, source: String? = nil) throws -> UnderlayPath {
                try dataplane.path(
                    for: UnderlayQuery(
                        remote: IPAddress.bytes(remote)!, source: source.flatMap { IPAddress.bytes($0) }, device: device))
            }
            for (remote, device, length) in [
                ("10.8.0.2", link.device, 24), ("fd08::2", link.device, 64), ("203.0.113.1", other, 0), ("2001:db8::1", other, 0),
                ("10.78.1.1", other, 15), ("fd78::1", other, 48),
            ] {
                let path = try path(remote)
                #expect(path.device == device && path.prefixLength == length, "\(path)")
                #expect(path.isByDefaultRoute == (length == 0))
            }
            #expect(try path("10.77.1.1").prefixLength == 16, "of several next hops")
            // The lesser route, where the better one is by another device; also with a source, which IPv6 would not do by itself.
            for (remote, source, gateway) in [("203.0.113.1", "10.8.0.1", "10.8.0.2"), ("2001:db8::1", "fd08::1", "fd08::2")] {
                for source in [nil, source] {
                    let path = try path(remote, link.device, source: source)
                    #expect(path.device == link.device && IPAddress.text(path.nextHop) == gateway && path.isByDefaultRoute, "\(path)")
                }
            }
            for device in [other, link.device] { #expect(try path("10.77.1.1", device).device == device) }
            try ip("route del default via 10.8.0.2\nroute del default via fd08::2\n")
            // IPv4 would say that it is on the link.
            for remote in ["203.0.113.1", "2001:db8::1", "10.78.1.1", "fd78::1"] {
                for source in [nil, remote.contains(":") ? "fd08::1" : "10.8.0.1"] {
                    let failure = #expect(throws: Failure.self) { try path(remote, link.device, source: source) }
                    #expect(failure?.reason == .destinationDown)
                    #expect(
                        failure?.message.contains("no route to \(remote) leads through \(link.device)") == true, "\(failure?.message ?? "")"
                    )
                }
            }
        }

        @Test("What nothing can be sent to, and why")
        func refusals() throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            let types = ["unreachable", "prohibit", "blackhole"]
            let blocked = types.enumerated().map { (type: $1, prefix4: "10.\($0 + 90).0.0/16", prefix6: "fd9\($0)::/64") }
            try ip(blocked.map { "route add \($0.type) \($0.prefix4)\nroute add \($0.type) \($0.prefix6)\n" }.joined())
            defer { try? ip(blocked.map { "route del \($0.type) \($0.prefix4)\nroute del \($0.type) \($0.prefix6)\n" }.joined()) }
            try ip(
                """
                tuntap add dev flat\(link.bench.number) mode tun
                link set flat\(link.bench.number) up
                addr add 10.83.0.1/24 dev flat\(link.bench.number)
                route add 10.84.0.0/16 encap ip id 7 dst 10.8.0.2 dev \(link.device)
                route add fd84::/64 encap ip6 id 7 dst fd08::2 dev \(link.device)

                """)
            defer { _ = try? run("ip", "link", "del", "flat\(link.bench.number)") }
            for remote in ["203.0.113.1", "2001:db8::1", "240.0.0.1"] {
                let failure = failure(dataplane, remote)
                #expect(failure?.reason == .neighbourUnreachable, "\(remote)")
                #expect(failure?.message.contains("no route to \(remote); add one") == true)
            }
            for (index, type) in types.enumerated() {
                for remote in ["10.\(index + 90).0.1", "fd9\(index)::1"] {
                    let failure = failure(dataplane, remote)
                    #expect(failure?.reason == .neighbourUnreachable, "\(remote)")
                    #expect(
                        failure?.message.contains("no route to \(remote); remove the route or rule of type \(type)") == true,
                        "\(failure?.message ?? "none")")
                }
            }
            for remote in [
                "10.8.0.1", "fd08::1", "127.0.0.1", "0.0.0.0", "::", "224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255",
                "10.8.0.255", "fe80::1", "febf::1",
            ] {
                #expect(reason(dataplane, remote) == .destinationUnsafe, "\(remote)")
            }
            for remote in ["10.83.0.2", "10.84.0.1", "fd84::1"] { #expect(reason(dataplane, remote) == .notImplemented, "\(remote)") }
        }

        @Test("A next hop that does not answer is asked again and again, and used once it answers")
        func silence() throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            for address in ["10.8.0.200", "fd08::200"] {
                let remote = IPAddress.bytes(address)!
                for _ in 0..<2 {
                    let before = try link.farReceived()
                    #expect(try dataplane.path(to: remote, source: nil).nextHopMAC == nil)
                    // It gives up in half a second, which on a busy machine may be over by now.
                    let isAsking = try link.neighbour(address).hasSuffix("INCOMPLETE")
                    #expect(try isAsking || link.farReceived() > before, "the kernel asks")
                    #expect(try comes { try link.neighbour(address).hasSuffix("FAILED") })
                }
                try link.ipThere("addr add \(address)/\(remote.count == 4 ? "24" : "64 nodad") dev \(link.bench.far)\n")
                #expect(try resolved(dataplane, remote).nextHopMAC == link.farMAC())
            }
        }

        @Test("A neighbour that somebody looks after is used, and left as it is by whoever confirms", arguments: ["10.8.0.50", "fd08::50"])
        func keptNeighbours(_ address: String) throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            let remote = IPAddress.bytes(address)!
            for words in ["nud permanent", "nud noarp", "nud stale extern_learn"] {
                try ip("neigh replace \(address) lladdr 02:00:00:00:00:50 dev \(link.device) \(words)\n")
                let before = try link.neighbour(address)
                let path = try dataplane.path(to: remote, source: nil)
                #expect(path.nextHopMAC == MACAddress("02:00:00:00:00:50"), "\(words)")
                for _ in 0..<3 { try dataplane.confirmNextHop(path) }
                #expect(try link.neighbour(address) == before)
                #expect(try dataplane.path(to: remote, source: nil) == path)
                try ip("neigh del \(address) dev \(link.device)\n")
            }
            let there = remote.count == 4 ? "10.8.0.2" : "fd08::2"
            try ip("neigh replace \(there) dev \(link.device) managed\n")
            let path = try resolved(dataplane, IPAddress.bytes(there)!)
            #expect(try path.nextHopMAC == link.farMAC())
            try dataplane.confirmNextHop(path)
            #expect(try link.neighbour(there).contains(" managed "))
        }

        @Test("A stale neighbour is probed when it is to be confirmed, and one that has moved is found again")
        func confirms() throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            for (number, address) in ["10.8.0.2", "fd08::2"].enumerated() {
                let remote = IPAddress.bytes(address)!
                let path = try resolved(dataplane, remote)
                let makeStale = "neigh change \(address) dev \(link.device) nud stale\n"
                try ip(makeStale)
                // A look alone asks nobody.
                #expect(try dataplane.path(to: remote, source: nil) == path)
                #expect(try link.neighbour(address).hasSuffix("STALE"))
                try dataplane.confirmNextHop(path)
                #expect(try !link.neighbour(address).hasSuffix("STALE"))
                #expect(try comes(within: 4) { try link.neighbour(address).hasSuffix("REACHABLE") })

                // It says nothing: the kernel's probes go to the old address.
                try run("ip", "-n", link.name, "link", "set", link.bench.far, "address", "02:00:00:00:66:0\(number)")
                try ip(makeStale)
                #expect(
                    try comes(within: 6) {
                        let path = try dataplane.path(to: remote, source: nil)
                        try dataplane.confirmNextHop(path)
                        return path.nextHopMAC == MACAddress("02:00:00:00:66:0\(number)")
                    })
            }
        }

        @Test("On a device without ARP it is the kernel's own choice of address, or a neighbour's that somebody has given")
        func withoutARP() throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            try ip(
                """
                link set \(link.device) arp off
                neigh replace 10.8.0.3 lladdr 02:00:00:00:00:03 dev \(link.device) nud permanent

                """)
            let path = try dataplane.path(to: Self.far4, source: nil)
            #expect(path.nextHopMAC == path.sourceMAC)
            #expect(try link.neighbour("10.8.0.2").isEmpty)
            try link.sendLarge(to: "10.8.0.2")
            #expect(try link.neighbour("10.8.0.2").hasSuffix("lladdr \(path.sourceMAC) NOARP"), "what the kernel itself sends to")
            #expect(try dataplane.path(to: Self.far4, source: nil) == path)
            #expect(try dataplane.path(to: [10, 8, 0, 3], source: nil).nextHopMAC == MACAddress("02:00:00:00:00:03"))
        }

        @Test("The MTU is the least of the device's, IPv6's own on it and what a router on the way has said")
        func pathMTU() throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            try link.there("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
            try link.ipThere("link add thin type veth peer name thinner\nlink set thin mtu 1300 up\nlink set thinner up\n")
            try link.there("echo 0 >/proc/sys/net/ipv6/conf/thin/disable_ipv6")
            try link.ipThere("addr add 10.76.0.1/24 dev thin\naddr add fd76::1/64 dev thin nodad\n")
            try ip("route add 10.76.0.0/24 via 10.8.0.2\nroute add fd76::/64 via fd08::2\n")
            for address in ["10.76.0.9", "fd76::9"] {
                let remote = IPAddress.bytes(address)!
                #expect(try resolved(dataplane, remote).mtu == 1_500)
                try link.sendLarge(to: address)
                #expect(try dataplane.path(to: remote, source: nil).mtu == 1_300)
            }
            #expect(try dataplane.path(to: [10, 76, 0, 8], source: nil).mtu == 1_500, "learned for one address")

            // As a router advertisement would.
            try link.set("ipv6/conf/\(link.device)/mtu", "1400")
            #expect(try dataplane.path(to: Self.far6, source: nil).mtu == 1_400)
            #expect(try dataplane.path(to: Self.far4, source: nil).mtu == 1_500)
        }

        // Without the link, whose neighbours are reported all the time.
        @Test(
            "The monitor notifies of changed rules and next hops",
            arguments: [
                ["rule add to 10.79.0.0/16 table 79", "rule del to 10.79.0.0/16 table 79"],
                ["-6 rule add to fd79::/64 table 79", "-6 rule del to fd79::/64 table 79"],
                ["nexthop add id 79 blackhole", "nexthop del id 79"],
            ])
        func rules(_ commands: [String]) async throws {
            try PrivateNamespaces.require()
            let monitor = try LinkMonitor(.paths)
            defer { monitor.stop() }
            let changes = ChangeCounter(monitor)
            defer { changes.stop() }
            #expect(try await !changes.counts {}, "nothing has happened")
            for command in commands { #expect(try await changes.counts { try run("env", "-S", "ip \(command)") }, "\(command)") }
        }

        @Test("The monitor notifies of changed routes and neighbours, and another address is followed")
        func changes() async throws {
            let link = try UnderlayLink()
            let dataplane = KernelDataplane(bpffs: link.bench.bpffs)
            for remote in [Self.far4, Self.far6] { #expect(try resolved(dataplane, remote).nextHopMAC == link.farMAC()) }
            let monitor = try LinkMonitor(.paths)
            defer { monitor.stop() }
            let changes = ChangeCounter(monitor)
            defer { changes.stop() }
            #expect(try await !changes.counts {}, "nothing has happened")
            for command in [
                "route add 10.79.0.0/16 via 10.8.0.2", "route del 10.79.0.0/16", "route add fd79::/64 via fd08::2", "route del fd79::/64",
                "neigh change 10.8.0.2 dev \(link.device) nud stale", "neigh change fd08::2 dev \(link.device) nud stale",
            ] {
                #expect(try await changes.counts { try run("env", "-S", "ip \(command)") }, "\(command)")
            }
            // The other machine announces its new address, and nobody here does anything.
            try link.there("echo 1 >/proc/sys/net/ipv4/conf/\(link.bench.far)/arp_notify")
            try link.there("echo 1 >/proc/sys/net/ipv6/conf/\(link.bench.far)/ndisc_notify")
            #expect(
                try await changes.counts {
                    try run("ip", "-n", link.name, "link", "set", link.bench.far, "address", "02:00:00:00:77:01")
                })
            for remote in [Self.far4, Self.far6] {
                #expect(
                    try comes { try dataplane.path(to: remote, source: nil).nextHopMAC == MACAddress("02:00:00:00:77:01") },
                    "\(IPAddress.text(remote))")
            }
            // What was known is forgotten, and asked for.
            #expect(try await changes.counts { try ip("neigh flush dev \(link.device)\n") })
            #expect(try resolved(dataplane, Self.far4).nextHopMAC == MACAddress("02:00:00:00:77:01"))
        }
    }
}
