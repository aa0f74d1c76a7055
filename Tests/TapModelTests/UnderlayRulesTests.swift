// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

/// Which ways to another machine copies may take: the host has ens3 with the default route, and ens4 to the sensors' network.
@Suite("Ways that copies may take")
struct UnderlayRulesTests {
    private static let remote: [UInt8] = [10, 9, 0, 5]

    private static func device(_ index: UInt32, _ name: String, _ addresses: [DeviceAddress?] = [], isUp: Bool = true) -> HostDevice {
        var device = HostDevice(index: index, name: name, mac: nil, kind: .other(""), isUp: isUp, hasCarrier: isUp)
        device.addresses = addresses.compactMap { $0 }
        return device
    }

    private static let ens3 = device(3, "ens3", [DeviceAddress([192, 0, 2, 7], prefixLength: 24)])
    private static let address4 = DeviceAddress([10, 9, 0, 2], prefixLength: 24)

    private static func host(_ ens4: HostDevice, _ others: [HostDevice] = [], specificRoutes: [[UInt8]: String] = [:]) -> HostState {
        var host = Fixture.host(devices: [ens3, ens4] + others)
        host.specificRoutes = specificRoutes
        return host
    }

    private static func path(_ index: UInt32, _ name: String, _ prefixLength: Int, remote: [UInt8] = remote) -> UnderlayPath {
        UnderlayPath(
            ifindex: index, device: name, source: remote, sourceMAC: MACAddress("02:00:00:00:00:0a")!, nextHop: [192, 0, 2, 1],
            nextHopMAC: MACAddress("02:00:00:00:00:0b"), mtu: 1_500, prefixLength: prefixLength)
    }

    private static let byDefault = path(3, "ens3", 0)

    private func refusal(
        _ path: UnderlayPath, source: [UInt8]? = nil, device: String? = nil, remote: [UInt8] = remote, _ host: HostState
    ) -> Failure? {
        UnderlayRules.refusal(of: path, for: UnderlayQuery(remote: remote, source: source, device: device), host: host)
    }

    private func remark(_ path: UnderlayPath, source: [UInt8]? = nil, device: String? = nil, _ host: HostState) -> TapStatus.Warning? {
        UnderlayRules.remark(on: path, for: UnderlayQuery(remote: Self.remote, source: source, device: device), host: host)
    }

    @Test func theDefaultRouteIsTold() {
        let host = Self.host(Self.device(4, "ens4", isUp: false))
        #expect(refusal(Self.byDefault, host) == nil)
        let remark = remark(Self.byDefault, host)
        #expect(remark?.reason == .defaultRoute)
        #expect(
            remark?.message
                == "copies to 10.9.0.5 leave by the default route, by ens3 and the gateway 192.0.2.1, unencrypted; if that is right "
                + "say device=\"ens3\" in this host's configuration, else give it a route of its own, or say which device is right")
        #expect(self.remark(Self.byDefault, device: "ens3", host) == nil)
        #expect(self.remark(Self.byDefault, source: [192, 0, 2, 7], host) == nil)
        #expect(self.remark(Self.path(3, "ens3", 24), host) == nil)
    }

    @Test func theDeviceMayBeCalledByAnotherName() {
        var ens4 = Self.device(4, "ens4")
        ens4.alternativeNames = ["enp5s0f0np0-a-long-name"]
        let path = Self.path(4, "ens4", 24)
        #expect(refusal(path, device: "enp5s0f0np0-a-long-name", Self.host(ens4)) == nil)
        #expect(refusal(path, device: "ens3", Self.host(ens4))?.reason == .destinationDown)
        #expect(refusal(Self.byDefault, device: "enp5s0f0np0-a-long-name", Self.host(ens4))?.reason == .destinationDown)
    }

    @Test(arguments: [(4, 0, true), (4, 1, true), (4, 2, false), (16, 0, true), (16, 3, true), (16, 4, false)])
    func whatCountsAsTheDefaultRoute(_ bytes: Int, _ length: Int, _ isDefault: Bool) {
        let path = Self.path(3, "ens3", length, remote: [UInt8](repeating: 9, count: bytes))
        #expect(path.isByDefaultRoute == isDefault)
    }

    @Test func onlyTheDeviceThatIsAskedFor() {
        let host = Self.host(Self.device(4, "ens4", [Self.address4], isUp: false), specificRoutes: [Self.remote: "ens4"])
        #expect(refusal(Self.byDefault, device: "ens4", host)?.reason == .destinationDown)
        // Somebody has said that it is right: no other rule holds then.
        #expect(refusal(Self.byDefault, device: "ens3", host) == nil)
    }

    @Test func theSourceSaysWhichDevice() {
        let down = Self.host(Self.device(4, "ens4", [Self.address4], isUp: false))
        let failure = refusal(Self.byDefault, source: [10, 9, 0, 2], down)
        #expect(failure?.reason == .destinationDown)
        #expect(
            failure?.message
                == "source 10.9.0.2 is an address of ens4, which is down, and 10.9.0.5 is reached by ens3 and the gateway 192.0.2.1; "
                + "copying begins when a route leads there by ens4, or say device=\"ens3\"")
        #expect(refusal(Self.path(4, "ens4", 24), source: [10, 9, 0, 2], Self.host(Self.device(4, "ens4", [Self.address4]))) == nil)
        // One on lo or a dummy device, as routers have it, says nothing of the way: then the other rules hold.
        for kind in [HostDevice.Kind.loopback, .other("dummy")] {
            var home = Self.device(1, "home", [DeviceAddress([10, 255, 0, 1], prefixLength: 32)])
            home.kind = kind
            let host = Self.host(Self.device(4, "ens4"), [home])
            #expect(refusal(Self.path(4, "ens4", 24), source: [10, 255, 0, 1], host) == nil)
            #expect(refusal(Self.byDefault, source: [10, 255, 0, 1], host) == nil)
            #expect(remark(Self.byDefault, source: [10, 255, 0, 1], host)?.reason == .defaultRoute)
        }
    }

    @Test func aNetworkIsItsDevices() {
        let down = Self.host(Self.device(4, "ens4", [Self.address4], isUp: false))
        let failure = refusal(Self.byDefault, down)
        #expect(failure?.reason == .destinationDown)
        #expect(
            failure?.message
                == "10.9.0.5 is in the network of ens4 (10.9.0.2/24), which is down, and without a route by it would be reached by ens3 and "
                + "the gateway 192.0.2.1; copying begins when that route is there, or say device=\"ens3\" in this host's configuration")
        // A wider route by another device is no more its way than the default one is; one as narrow was made for it.
        #expect(refusal(Self.path(3, "ens3", 16), down)?.reason == .destinationDown)
        #expect(refusal(Self.path(3, "ens3", 24), down) == nil)
        #expect(refusal(Self.path(3, "ens3", 32), down) == nil)
        // Both are in the network, or the route has another's address.
        let both = Self.host(
            Self.device(4, "ens4", [Self.address4], isUp: false),
            [Self.device(5, "ens5", [DeviceAddress([10, 9, 0, 3], prefixLength: 24)])])
        #expect(refusal(Self.path(5, "ens5", 0), both) == nil)
        #expect(refusal(Self.byDefault, remote: [10, 9, 1, 5], down) == nil)
        // The narrowest network counts.
        let nested = Self.host(
            Self.device(4, "ens4", [Self.address4], isUp: false), [Self.device(5, "ens5", [DeviceAddress([10, 0, 0, 1], prefixLength: 8)])])
        #expect(refusal(Self.path(5, "ens5", 8), nested)?.message.contains("network of ens4") == true)
        let six = Self.host(Self.device(4, "ens4", [DeviceAddress(IPAddress.bytes("fd09::2")!, prefixLength: 64)], isUp: false))
        let remote = IPAddress.bytes("fd09::5")!
        #expect(refusal(Self.path(3, "ens3", 0, remote: remote), remote: remote, six)?.reason == .destinationDown)
    }

    @Test func whoHadAWayOfItsOwnDoesNotTakeTheDefaultRoute() {
        let host = Self.host(Self.device(4, "ens4"), specificRoutes: [Self.remote: "ens4"])
        let failure = refusal(Self.byDefault, host)
        #expect(failure?.reason == .defaultRoute)
        #expect(
            failure?.message
                == "10.9.0.5 had a route of its own, by ens4, and now has only the default route, by ens3 and the gateway 192.0.2.1, which "
                + "copies do not follow; copying begins again when its route is back, or say device=\"ens3\" in this host's configuration")
        #expect(refusal(Self.path(3, "ens3", 24), host) == nil)
        #expect(refusal(Self.byDefault, source: [192, 0, 2, 7], host) == nil)
        #expect(refusal(Self.byDefault, remote: [10, 9, 0, 6], host) == nil)
    }

    @Test func aWayThatMayNotBeTakenIsNotTheDestinationsFault() throws {
        var host = Self.host(Self.device(4, "ens4", [Self.address4], isUp: false))
        let tunnel = Tunnel(kind: .gre, remote: "10.9.0.5")
        host.paths[try #require(UnderlayQuery(tunnel))] = .success(Self.byDefault)
        let definition = DestinationDefinition(name: try #require(TapName("far")), target: .tunnel(tunnel))
        let verdict = try DestinationEvaluation.evaluate(definition, host: host).get()
        #expect(verdict.device == .nowhere && verdict.route.tunnel == nil && verdict.isOnlyDown)
        #expect(verdict.failure?.message.hasPrefix("destination far: 10.9.0.5 is in the network of ens4") == true)
        host.devices.update("ens4", nil)
        let evaluated = try DestinationEvaluation.evaluate(definition, host: host).get()
        #expect(evaluated.device == .known(3) && evaluated.route.tunnel?.isSpecificRoute == false)
        #expect(DestinationStatus(evaluated, on: host).warnings.map(\.reason) == [.defaultRoute])
        host.paths[try #require(UnderlayQuery(tunnel))] = .success(Self.path(3, "ens3", 24))
        #expect(try DestinationEvaluation.evaluate(definition, host: host).get().route.tunnel?.isSpecificRoute == true)
    }
}
