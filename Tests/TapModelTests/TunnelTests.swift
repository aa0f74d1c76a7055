// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("Destinations on other machines")
struct TunnelTests {
    private static let remote: [UInt8] = [192, 0, 2, 10]
    private static let tunnel = Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 100)

    private static func path(mtu: UInt32 = 1_500, nextHop: MACAddress? = MACAddress("02:00:00:00:00:0b")) -> UnderlayPath {
        UnderlayPath(
            ifindex: 20, device: "mon0", source: [192, 0, 2, 1], sourceMAC: MACAddress("02:00:00:00:00:0a")!, nextHop: [192, 0, 2, 254],
            nextHopMAC: nextHop, mtu: mtu)
    }

    private static func verdict(_ result: Result<UnderlayPath, Failure>?, mtu: UInt32? = nil) throws -> DestinationVerdict {
        var host = Fixture.host()
        host.paths[UnderlayQuery(tunnel)!] = result
        let definition = DestinationDefinition(name: TapName("far")!, target: .tunnel(tunnel), mtu: mtu)
        return try DestinationEvaluation.evaluate(definition, host: host).get()
    }

    @Test func theWayIsTaken() throws {
        let verdict = try Self.verdict(.success(Self.path()))
        #expect(verdict.failure == nil && verdict.device == .known(20) && verdict.kind == .vxlan)
        #expect(verdict.route.tunnel?.room == 1_464)
        #expect(try Self.verdict(.success(Self.path()), mtu: 1_400).route.tunnel?.room == 1_364)
        #expect(try Self.verdict(.success(Self.path(mtu: 1_300)), mtu: 1_400).route.tunnel?.mtu == 1_300)
    }

    @Test(arguments: [false, true])
    func itsLinkMustBeThere(_ isUp: Bool) throws {
        var host = Fixture.host()
        var device = try #require(host.devices["mon0"])
        device.isUp = isUp
        device.hasCarrier = false
        host.devices.update("mon0", device)
        // What was known of the neighbours is gone with the carrier.
        host.paths[UnderlayQuery(Self.tunnel)!] = .success(Self.path(nextHop: nil))
        let definition = DestinationDefinition(name: TapName("far")!, target: .tunnel(Self.tunnel))
        let verdict = try DestinationEvaluation.evaluate(definition, host: host).get()
        #expect(verdict.device == .nowhere && verdict.failure?.reason == .destinationDown)
        let why = isUp ? "has no carrier: its cable or its other end is down" : "is down"
        #expect(verdict.failure?.message == "destination far: mon0, by which 192.0.2.10 is reached, \(why)")
    }

    @Test func itsLinkHasGoneMeanwhile() throws {
        var host = Fixture.host()
        host.devices.update("mon0", nil)
        host.paths[UnderlayQuery(Self.tunnel)!] = .success(Self.path())
        let definition = DestinationDefinition(name: TapName("far")!, target: .tunnel(Self.tunnel))
        let failure = try DestinationEvaluation.evaluate(definition, host: host).get().failure
        #expect(failure == Failure(.destinationDown, "mon0, by which 192.0.2.10 was reached, has gone", about: "destination far"))
    }

    @Test func whyNothingIsSent() throws {
        let silent = try Self.verdict(.success(Self.path(nextHop: nil)))
        #expect(silent.device == .nowhere && silent.failure?.reason == .neighbourUnreachable)
        #expect(silent.failure?.message.contains("192.0.2.254, the next hop to 192.0.2.10, has not answered ARP on mon0") == true)
        #expect(try Self.verdict(nil).failure?.reason == .neighbourUnreachable)
        let refused = try Self.verdict(.failure(Failure(.destinationUnsafe, "it is this host")))
        #expect(refused.failure == Failure(.destinationUnsafe, "it is this host", about: "destination far"))
        let small = try Self.verdict(.success(Self.path(mtu: 90)))
        #expect(small.failure?.reason == .mtuTooSmall && small.failure?.message.contains("90 bytes, and the headers take 36") == true)
    }

    /// Against the figures of the RFCs.
    @Test func headers() throws {
        func header(_ change: (inout Tunnel) -> Void) throws -> TunnelHeader {
            var tunnel = Self.tunnel
            change(&tunnel)
            return try #require(TunnelHeader(tunnel, remote: Self.remote, path: Self.path(), mtu: nil))
        }
        let vxlan = try header {
            $0.dscp = 10
            $0.ttl = 9
        }
        #expect(
            vxlan.bytes == [
                0x02, 0, 0, 0, 0, 0x0B, 0x02, 0, 0, 0, 0, 0x0A, 0x08, 0x00,
                0x45, 40, 0, 0, 0, 0, 0, 0, 9, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 10,
                0, 0, 0x12, 0xB5, 0, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0,
            ])
        #expect(vxlan.inboundIdentifier == 100 << 8 && vxlan.form == .udp)
        let geneve = try header {
            $0 = Tunnel(kind: .geneve, remote: "192.0.2.10", identifier: 5)
            $0.inboundIdentifier = 6
        }
        #expect(geneve.bytes.suffix(14) == [0x17, 0xC1, 0, 0, 0, 0, 0, 0, 0x65, 0x58, 0, 0, 0, 0])
        #expect(geneve.inboundIdentifier == 6 << 8 && geneve.outboundIdentifier == 5 << 8)
        let keyless = try header { $0 = Tunnel(kind: .gre, remote: "192.0.2.10") }
        #expect(keyless.bytes.suffix(5) == [10, 0, 0, 0x65, 0x58] && keyless.bytes[23] == 47 && keyless.room == 1_476)
        let gre = try header { $0 = Tunnel(kind: .gre, remote: "192.0.2.10", identifier: 0x1234_5678) }
        #expect(gre.bytes.suffix(8) == [0x20, 0, 0x65, 0x58, 0, 0, 0, 0] && gre.outboundIdentifier == 0x1234_5678)
        let second = try header { $0 = Tunnel(kind: .erspan, remote: "192.0.2.10", identifier: 7, version: 1) }
        #expect(second.bytes.count == 14 + 20 + 16 && second.form == .erspanII)
        #expect(second.bytes.suffix(16) == [0x10, 0, 0x88, 0xBE, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0])
        let third = try header { $0 = Tunnel(kind: .erspan, remote: "192.0.2.10", identifier: 7, version: 2) }
        #expect(third.bytes.count == 14 + 20 + 20 && third.form == .erspanIII && third.bytes[36..<38] == [0x22, 0xEB])
    }

    @Test func eachWayToWrapHasItsOwnName() throws {
        #expect(Self.tunnel.label == "vxlan:192.0.2.10:4789/100")
        var all = Tunnel(kind: .erspan, remote: "192.0.2.10", identifier: 7, inboundIdentifier: 8, outboundIdentifier: 9)
        (all.version, all.oversize, all.ttl, all.dscp, all.source) = (2, .drop, 9, 10, "192.0.2.1")
        #expect(
            all.label == "erspan:192.0.2.10/7;inbound=8;outbound=9;version=2;oversize=drop;ttl=9;dscp=10;source=192.0.2.1")
        (all.source, all.device) = (nil, "ens4")
        #expect(all.label.hasSuffix(";ttl=9;dscp=10;device=ens4"))
        let changes: [(inout Tunnel) -> Void] = [
            { $0.kind = .geneve }, { $0.remote = "192.0.2.11" }, { $0.identifier = 101 }, { $0.identifier = nil },
            { $0.inboundIdentifier = 100 }, { $0.outboundIdentifier = 100 }, { $0.port = 4_790 }, { $0.version = 2 },
            { $0.oversize = .drop },
            { $0.oversize = .truncate }, { $0.ttl = 100 }, { $0.dscp = 0 }, { $0.source = "192.0.2.1" }, { $0.source = "192.0.2.2" },
            { $0.device = "ens4" },
        ]
        var labels: Set = [Self.tunnel.label]
        for change in changes {
            var tunnel = Self.tunnel
            change(&tunnel)
            labels.insert(tunnel.label)
        }
        #expect(labels.count == changes.count + 1)
        // The longest: what does not fit is shortened, and still tells them apart.
        let address = "1001:2002:3003:4004:5005:6006:7007:8008"
        var long = Tunnel(kind: .geneve, remote: address, identifier: 0xFF_FFFF, port: 65_535)
        long.source = address
        labels = []
        for dscp in UInt8(0)...63 {
            long.dscp = dscp
            labels.insert(long.label)
        }
        #expect(labels.count == 64 && labels.allSatisfy { $0.utf8.count <= Tunnel.labelLimit })
        #expect(labels.allSatisfy { $0.hasPrefix("geneve:[\(address)]:65535/16777215;options=") })
    }

    @Test func addressesAsText() {
        for text in ["192.0.2.10", "2001:db8::1", "::", "::1", "fe80::1:0:0:1", "1:2:3:4:5:6:7:8", "2001:db8:0:1::"] {
            #expect(IPAddress.bytes(text).map(IPAddress.text) == text)
        }
        #expect(IPAddress.text(IPAddress.bytes("1:0:2:3:4:5:6:7")!) == "1:0:2:3:4:5:6:7")
    }
}
