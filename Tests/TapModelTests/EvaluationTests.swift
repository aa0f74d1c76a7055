// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

/// One test for each reason that evaluation gives, each beside the case that has none.
@Suite("What ought to be attached")
struct EvaluationTests {
    /// The failure of the only tap, whether it is refused as a whole or on its only interface.
    private func failure(_ domain: DomainDefinition = Fixture.domain(), _ host: HostState = Fixture.host()) -> Failure? {
        let verdicts = TapEvaluation.evaluate(domain, on: host)
        #expect(verdicts.count == 1)
        switch verdicts[0].outcome {
        case .refused(let failure): return failure
        case .evaluated(let destination, let interfaces):
            if case .refused(let failure) = interfaces[0].result { return failure }
            return destination.failure
        }
    }

    @Test func plainTapIsAttached() throws {
        #expect(failure() == nil)
        let desired = try #require(Fixture.desired().first)
        #expect(desired.key == AttachmentKey(domain: Fixture.uuid, origin: .domain, tap: TapName("ids")!, ifindex: 10))
        #expect(desired.options == CopyOptions(direction: .both, destination: "span", mark: PacketMark()))
        #expect(desired.interface.device == "vnet0")
        #expect(!desired.interface.isMacvtap)
        #expect(desired.mechanism == .tcx)
    }

    @Test func everyInterfaceIsTapped() {
        let second = MACAddress("52:54:00:00:00:02")!
        let domain = Fixture.domain(interfaces: [Fixture.interface(), Fixture.interface("net1", mac: second, device: "vnet1")])
        let host = Fixture.host(devices: [Fixture.vnet(), Fixture.vnet(11, "vnet1", guest: second), Fixture.span()], domains: [domain])
        #expect(Fixture.desired(domain, host: host).map(\.key.ifindex) == [10, 11])
    }

    @Test func selectorsChoose() {
        let second = MACAddress("52:54:00:00:00:02")!
        let interfaces = [Fixture.interface(), Fixture.interface("ua-lan", mac: second, device: "vnet1", bridge: nil, network: "lan")]
        let host = Fixture.host(devices: [Fixture.vnet(), Fixture.vnet(11, "vnet1", guest: second), Fixture.span()])
        func chosen(_ selectors: InterfaceSelector...) -> [UInt32] {
            var tap = Fixture.tap()
            tap.selectors = selectors
            return Fixture.desired(Fixture.domain([tap], interfaces: interfaces), host: host).map(\.key.ifindex)
        }
        #expect(chosen(InterfaceSelector(mac: second)) == [11])
        #expect(chosen(InterfaceSelector(alias: "net0")) == [10])
        #expect(chosen(InterfaceSelector(bridge: "br0")) == [10])
        #expect(chosen(InterfaceSelector(network: "lan")) == [11])
        #expect(chosen(InterfaceSelector(mac: second), InterfaceSelector(alias: "net0")) == [10, 11])
        // Within one element all must match.
        #expect(chosen(InterfaceSelector(mac: second, alias: "net0")) == [])
    }

    @Test func invalidMetadata() {
        var domain = Fixture.domain()
        let why = Failure(.invalidMetadata, "/taps/tap[1]/@direction: …")
        domain.taps = [.invalid(name: TapName("ids")!, required: false, why)]
        #expect(failure(domain) == why)
    }

    @Test func neighboursOfAnInvalidTapWork() {
        var domain = Fixture.domain()
        domain.taps = [.invalid(name: TapName("bad")!, required: false, Failure(.duplicateName, "")), .valid(Fixture.tap())]
        #expect(Fixture.desired(domain).count == 1)
    }

    @Test func tooManyTaps() {
        let domain = Fixture.domain([Fixture.tap("a"), Fixture.tap("b"), Fixture.tap("c")])
        let verdicts = TapEvaluation.evaluate(domain, on: Fixture.host(Fixture.configuration { $0.policy.maximumTaps = 2 }))
        #expect(verdicts.map(\.desired.count) == [1, 1, 0])
        guard case .refused(let failure) = verdicts[2].outcome else { Issue.record("the third tap stands"); return }
        #expect(failure.reason == .tooManyTaps)
    }

    @Test func switchedOff() {
        var tap = Fixture.tap()
        tap.enabled = false
        #expect(failure(Fixture.domain([tap]))?.reason == .disabledByMetadata)
        #expect(failure(Fixture.domain(), Fixture.host(Fixture.configuration { $0.policy.tapsAllowed = false }))?.reason == .disabledByHost)
        #expect(failure(Fixture.domain(), Fixture.host(isPaused: true))?.reason == .disabledByHost)
    }

    @Test func whatATapChoosesReachesTheKernel() throws {
        var tap = Fixture.tap()
        tap.snaplen = .headers
        tap.sampling = .flows(oneIn: 10)
        tap.rate = Self.slow
        tap.once = true
        let verdict = TapEvaluation.evaluate(Fixture.domain([tap]), on: Fixture.host())[0]
        let options = try #require(verdict.desired.first?.options)
        #expect(options.snaplen == .headers && options.sampling == .flows(oneIn: 10) && options.rate == Self.slow && options.once)
        // What the pins of an earlier version do not say was not chosen.
        let old = #"{"direction":"both","destination":"ids","mark":{"value":8192,"mask":8192}}"#
        let decoded = try JSONDecoder().decode(CopyOptions.self, from: Data(old.utf8))
        #expect(decoded == CopyOptions(direction: .both, destination: "ids", mark: PacketMark(value: 0x2000, mask: 0x2000)))
        #expect(try JSONDecoder().decode(CopyOptions.self, from: JSONEncoder().encode(options)) == options)
    }

    private static let slow = RateLimit(perSecond: 1, unit: .bitsPerSecond, burst: nil, text: "1bit", burstText: nil)

    @Test func filters() {
        var tap = Fixture.tap()
        tap.filter = "tcp"
        let compiled = CompiledFilter(expression: "tcp", instructions: [6])
        var host = Fixture.host()
        func verdict() -> TapVerdict { TapEvaluation.evaluate(Fixture.domain([tap]), on: host)[0] }
        #expect(failure(Fixture.domain([tap]), host)?.reason == .filterPending && TapEvaluation.isUndecided(verdict()))
        host.filters["tcp"] = .success(compiled)
        #expect(verdict().desired.map(\.filter) == [compiled] && verdict().desired.map(\.options.filter) == ["tcp"])
        #expect(!TapEvaluation.isUndecided(verdict()))
        for (reason, isUndecided) in [
            (Reason.invalidFilter, false), (.filterTooLarge, false), (.permissionDenied, true), (.attachFailed, true),
        ] {
            host.filters["tcp"] = .failure(Failure(reason, "why"))
            #expect(failure(Fixture.domain([tap]), host) == Failure(reason, "why"))
            #expect(TapEvaluation.isUndecided(verdict()) == isUndecided)
        }
        // A program with this filter may be too large for the verifier, and one that does less besides not.
        host.filters["tcp"] = .success(compiled)
        var larger = tap
        larger.snaplen = .headers
        host.refusedOptions[TapEvaluation.evaluate(Fixture.domain([larger]), on: host)[0].desired[0].options] = Failure(
            .filterTooLarge, "why")
        #expect(failure(Fixture.domain([tap]), host) == nil)
        #expect(failure(Fixture.domain([larger]), host) == Failure(.filterTooLarge, "why"))
        host.filters["tcp"] = nil
        // What the host forbids is decided without it.
        host.configuration.policy.tapsAllowed = false
        #expect(!TapEvaluation.isUndecided(verdict()))
    }

    @Test func destinationsThatCannotBeHad() {
        #expect(failure(Fixture.domain([Fixture.tap(to: "nowhere")]))?.reason == .noSuchDestination)
        #expect(failure(Fixture.domain([Fixture.tap(to: "spam")]))?.message.contains("did you mean span?") == true)

        func with(_ change: (inout DestinationDefinition) -> Void) -> Reason? {
            failure(Fixture.domain(), Fixture.host(Fixture.configuration { change(&$0.destinations[0]) }))?.reason
        }
        #expect(with { $0.allow = [.name("db-*")] } == .destinationNotAllowed)
        #expect(with { $0.allow = [.name("db-*"), .name("we?1")] } == nil)
        #expect(with { $0.allow = [.uuid(Fixture.uuid)] } == nil)
        #expect(with { $0.target = .tunnel(Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 1)) } == .neighbourUnreachable)
        #expect(with { $0.rate = Self.slow } == nil)
    }

    @Test func inlineDestinations() {
        func inline(_ target: DestinationTarget, _ policy: InlinePolicy?) -> Reason? {
            var tap = Fixture.tap()
            tap.destination = .inline(target)
            return failure(Fixture.domain([tap]), Fixture.host(Fixture.configuration { $0.policy.inline = policy }))?.reason
        }
        let vxlan = DestinationTarget.tunnel(Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 100))
        let net = AddressRange(address: [192, 0, 2, 0], prefixLength: 24)!
        let elsewhere = AddressRange(address: [198, 51, 100, 0], prefixLength: 24)!
        #expect(inline(vxlan, nil) == .inlineDestinationDenied)
        #expect(inline(vxlan, InlinePolicy(kinds: [.geneve], remotes: [net])) == .inlineDestinationDenied)
        #expect(inline(vxlan, InlinePolicy(kinds: [.vxlan], remotes: [elsewhere])) == .inlineDestinationDenied)
        #expect(inline(vxlan, InlinePolicy(kinds: [.vxlan], remotes: [net])) == .neighbourUnreachable)
        // Which of the host's devices it leaves by is the host's business; an address of the host's narrows that down and no more.
        func leaving(source: String? = nil, device: String? = nil) -> Reason? {
            let tunnel = Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 100, source: source, device: device)
            return inline(.tunnel(tunnel), InlinePolicy(kinds: [.vxlan], remotes: [net]))
        }
        #expect(leaving(device: "ens4") == .inlineDestinationDenied)
        #expect(leaving(source: "192.0.2.1") == .neighbourUnreachable)
        let open = InlinePolicy(kinds: Set(Tunnel.Kind.allCases), remotes: [AddressRange(address: [0, 0, 0, 0], prefixLength: 0)!])
        #expect(inline(.interface(name: "mon0", allowShared: true), open) == .inlineDestinationDenied)
        #expect(inline(.domain(name: "x", uuid: nil, mac: nil, alias: nil), open) == .inlineDestinationDenied)
    }

    @Test func destinationsThatAreNotThereNow() {
        func with(_ devices: [HostDevice]) -> (Failure?, Int) {
            let host = Fixture.host(devices: devices)
            return (failure(Fixture.domain(), host), Fixture.desired(host: host).count)
        }
        // The tap stays attached, so that one map update brings it back.
        #expect(with([Fixture.vnet()]).0?.reason == .destinationDown)
        #expect(with([Fixture.vnet()]).1 == 1)
        #expect(with([Fixture.vnet(), Fixture.span { $0.isUp = false }]).0?.reason == .destinationDown)
        #expect(with([Fixture.vnet(), Fixture.span { $0.hasCarrier = false }]).0?.reason == .destinationDown)
    }

    @Test func unsafeDestinations() {
        func reason(_ device: HostDevice, allowShared: Bool = false, others: [DomainDefinition] = []) -> (
            Reason?, DestinationVerdict.Device?
        ) {
            let configuration = Fixture.configuration {
                $0.destinations[0].target = .interface(name: device.name, allowShared: allowShared)
            }
            let host = Fixture.host(configuration, devices: [Fixture.vnet(), device], domains: [Fixture.domain()] + others)
            guard case .success(let verdict) = DestinationEvaluation.evaluate(configuration.destinations[0], host: host) else {
                return (nil, nil)
            }
            return (verdict.failure?.reason, verdict.device)
        }
        let shared = Fixture.span { $0.hasAddress = true }
        #expect(reason(shared) == (.destinationUnsafe, .nowhere))
        #expect(reason(shared, allowShared: true) == (nil, .known(20)))
        // Which ones there are: InterfaceSafetyTests.
        for isShared in [false, true] {
            #expect(reason(Fixture.span { $0.kind = .other("ifb") }, allowShared: isShared) == (.destinationUnsafe, .nowhere))
        }
        #expect(reason(Fixture.span()) == (nil, .known(20)))
        let ours = Fixture.span { $0.name = "virttap-cut" }
        for isShared in [false, true] { #expect(reason(ours, allowShared: isShared) == (.destinationUnsafe, .nowhere)) }
        // Also while it is not there.
        let absent = Fixture.configuration { $0.destinations[0].target = .interface(name: "virttap-cut", allowShared: true) }
        let verdict = try? DestinationEvaluation.evaluate(absent.destinations[0], host: Fixture.host(absent)).get()
        #expect(verdict?.failure?.reason == .destinationUnsafe && verdict?.device == .nowhere)
        // Another domain's device, but only when it is that domain's provably.
        let mac = MACAddress("52:54:00:00:00:07")!
        let vnet = Fixture.vnet(30, "vnet7", guest: mac)
        var free = vnet
        free.masterKind = nil
        let owner = Fixture.domain([], interfaces: [Fixture.interface(mac: mac, device: "vnet7")], uuid: Fixture.otherUUID, name: "db1")
        for isShared in [false, true] { #expect(reason(free, allowShared: isShared, others: [owner]) == (.destinationUnsafe, .nowhere)) }
        // Nor a tap device that is nobody's yet.
        for isShared in [false, true] { #expect(reason(free, allowShared: isShared) == (.destinationUnsafe, .nowhere)) }
    }

    @Test func whatIsSaidOfUnsafeDestinations() throws {
        func message(_ name: String = "mon0", allowShared: Bool, _ device: HostDevice) throws -> String? {
            let configuration = Fixture.configuration { $0.destinations[0].target = .interface(name: name, allowShared: allowShared) }
            let host = Fixture.host(configuration, devices: [device])
            return try DestinationEvaluation.evaluate(configuration.destinations[0], host: host).get().failure?.message
        }
        #expect(
            try message(allowShared: false, Fixture.span { $0.hasAddress = true })
                == "destination span: mon0 has an IP address, so copies would reach more than a sensor; use a device that the sensor has for "
                + "copies alone, or allow-shared=\"yes\"")
        let long = "enp5s0f0np0-a-long-name"
        let port = Fixture.span { ($0.alternativeNames, $0.masterKind, $0.masterName) = ([long], "bridge", "br0") }
        let words = "destination span: \(long) (mon0) is a port of bridge br0; use a device that the sensor has for copies alone"
        #expect(try message(long, allowShared: false, port) == words)
        #expect(try message(long, allowShared: true, port) == words + ": allow-shared=\"yes\" does not permit this")
    }

    @Test func anInterfaceIsFoundByItsOtherNames() throws {
        let configuration = Fixture.configuration {
            $0.destinations[0].target = .interface(name: "enp5s0f0np0-a-long-name", allowShared: false)
        }
        func verdict(_ device: HostDevice) throws -> DestinationVerdict {
            try DestinationEvaluation.evaluate(configuration.destinations[0], host: Fixture.host(configuration, devices: [device])).get()
        }
        #expect(try verdict(Fixture.span()).failure?.reason == .destinationDown)
        let named = try verdict(Fixture.span { $0.alternativeNames = ["other", "enp5s0f0np0-a-long-name"] })
        #expect(named.failure == nil && named.device == .known(20))
        let ours = try verdict(
            Fixture.span { ($0.name, $0.alternativeNames) = ("virttap-cut", ["enp5s0f0np0-a-long-name"]) })
        #expect(ours.failure?.reason == .destinationUnsafe)
    }

    /// An mtu on a device of this host has offloads resolved; on a tunnel it is the path's.
    @Test func offloadsAreResolvedWhereTheDestinationHasAnMTU() throws {
        func desired(_ change: (inout DestinationDefinition) -> Void) throws -> (options: CopyOptions, verdict: DestinationVerdict) {
            let host = Fixture.host(Fixture.configuration { change(&$0.destinations[0]) })
            let tap = TapEvaluation.evaluate(Fixture.domain(), on: host)[0]
            guard case .evaluated(let verdict, _) = tap.outcome else { throw Failure(.attachFailed, "refused") }
            return (try #require(tap.desired.first).options, verdict)
        }
        let plain = try desired { _ in }
        #expect(!plain.options.resolvesOffloads && !plain.options.needsRelay(for: .interface) && plain.verdict.route.mtu == nil)
        let resolving = try desired { $0.mtu = 1_500 }
        #expect(resolving.options.resolvesOffloads && resolving.options.needsRelay(for: .interface) && resolving.verdict.route.mtu == 1_500)
        let far = try desired {
            $0.target = .tunnel(Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 7))
            $0.mtu = 1_500
        }
        #expect(!far.options.resolvesOffloads && far.verdict.route.mtu == nil)
        // A spec of a version that did not know it.
        let old = #"{"direction":"both","destination":"ids","mark":{"value":8192,"mask":8192}}"#
        #expect(
            try JSONDecoder().decode(CopyOptions.self, from: Data(old.utf8))
                == CopyOptions(direction: .both, destination: "ids", mark: PacketMark(value: 0x2000, mask: 0x2000)))
    }

    /// Which every guest's device is.
    @Test func destinationThatIsTheTappedDevice() {
        let configuration = Fixture.configuration { $0.destinations[0].target = .interface(name: "vnet0", allowShared: true) }
        #expect(failure(Fixture.domain(), Fixture.host(configuration))?.reason == .destinationUnsafe)
    }

    @Test func noInterface() {
        #expect(failure(Fixture.domain(interfaces: []))?.reason == .noMatchingInterface)
        var tap = Fixture.tap()
        tap.selectors = [InterfaceSelector(alias: "net7")]
        let refused = failure(Fixture.domain([tap]))
        #expect(refused?.reason == .noMatchingInterface)
        #expect(refused?.message.contains("net0 52:54:00:00:00:01") == true)
    }

    @Test(arguments: ["hostdev", "vhostuser", "user", "vdpa", "mcast", "udp", "server", "client", "internal"])
    func typesWithoutDevice(_ type: String) {
        let domain = Fixture.domain(interfaces: [Fixture.interface(type: InterfaceType(type))])
        #expect(failure(domain)?.reason == .interfaceTypeUnsupported)
    }

    @Test func ofVhostuserWhoCarriesTheFramesSaysWhatToDo() {
        var interface = Fixture.interface(type: .vhostuser)
        #expect(failure(Fixture.domain(interfaces: [interface]))?.message.contains("that switch's own mirror") == true)
        interface.backend = "passt"
        #expect(failure(Fixture.domain(interfaces: [interface]))?.message.contains("use type network or bridge") == true)
        #expect(failure(Fixture.domain(interfaces: [interface]))?.message.contains("mirror") == false)
    }

    @Test func mechanismThatCannotBeHad() {
        let why = Failure(.kernelTooOld, "Linux 4.18 has neither")
        #expect(failure(Fixture.domain(), Fixture.host(mechanism: .failure(why))) == why)
    }

    @Test func macvtap() throws {
        let domain = Fixture.domain(interfaces: [Fixture.interface(type: .direct, device: "macvtap0")])
        let device = HostDevice(index: 10, name: "macvtap0", mac: Fixture.mac, kind: .macvtap)
        let desired = try #require(Fixture.desired(domain, host: Fixture.host(devices: [device, Fixture.span()], domains: [domain])).first)
        #expect(desired.interface.isMacvtap)
    }
}
