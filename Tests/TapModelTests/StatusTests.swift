// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

@Suite("Status")
struct StatusTests {
    private func view(
        _ domain: DomainDefinition = Fixture.domain(), persistent: DomainDefinition? = Fixture.domain(), host: HostState = Fixture.host(),
        isRunning: Bool = true
    ) -> DomainView {
        DomainView(
            uuid: domain.uuid, name: domain.name, isRunning: isRunning, live: isRunning ? domain : nil, persistent: persistent,
            verdicts: isRunning ? TapEvaluation.evaluate(domain, on: host) : [])
    }

    private func kernel(_ attachments: [ObservedAttachment], failures: [AttachmentID: Failure] = [:]) -> KernelView {
        KernelView(attachments: Dictionary(uniqueKeysWithValues: attachments.map { ($0.id, $0) }), failures: failures)
    }

    private func build(_ view: DomainView, _ kernel: KernelView, warnings: [TapStatus.Warning] = []) -> [TapStatus] {
        TapStatusBuilder(hostWarnings: warnings, kernel: kernel).taps(of: view)
    }

    @Test func active() throws {
        let desired = Fixture.desired()[0]
        let tap = try #require(build(view(), kernel([Fixture.observed(desired)])).first)
        #expect(tap.state == .active)
        #expect(tap.reason == nil && tap.message == nil)
        #expect(tap.definition == .both)
        #expect(tap.running == true)
        #expect(tap.interfaces[0].state == .active)
        #expect(tap.interfaces[0].ifindex == 10)
        #expect(tap.interfaces[0].position == 0)
        #expect(tap.warnings.isEmpty)
    }

    @Test("The document of a daemon that did not count rate_limited yet is read, and all others come back as they were")
    func readsOlderDestinations() throws {
        let full = DestinationStatus(
            name: "ids", kind: .interface, failure: Failure(.destinationDown, "it is down"),
            record: DestinationRecord(
                label: "ids", kind: .interface, ifindex: 2, sent: Counter(packets: 3, bytes: 300), errors: Counter(packets: 2, bytes: 200),
                lastError: Timestamp("2026-11-28T04:40:00Z"), rateLimited: Counter(packets: 1, bytes: 100)))
        let data = try JSONEncoder().encode(full)
        #expect(try JSONDecoder().decode(DestinationStatus.self, from: data) == full)
        var older = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(older["last_error"] as? String == "2026-11-28T04:40:00Z")
        older["rate_limited"] = nil
        older["last_error"] = nil
        for key in ["device", "fragmented", "truncated", "oversized", "warnings"] { older[key] = nil }
        var expected = full
        expected.rateLimited = Counter()
        expected.lastError = nil
        #expect(
            try JSONDecoder().decode(DestinationStatus.self, from: JSONSerialization.data(withJSONObject: older)) == expected)
    }

    @Test(arguments: [0, 1], [DestinationTarget.Kind.monitor, .interface])
    func ofAPairTheNarrowerEndCounts(_ narrow: Int, _ kind: DestinationTarget.Kind) throws {
        var ends = [
            HostDevice(index: 40, name: "virttap-span0", mac: nil, kind: .other("veth"), mtu: 65_535),
            HostDevice(index: 41, name: "span0", mac: nil, kind: .other("veth"), mtu: 65_535),
        ]
        (ends[0].link, ends[1].link) = (41, 40)
        let vnet = Fixture.vnet()
        func warning() -> TapStatus.Warning? {
            let verdict = DestinationVerdict(label: "ids", kind: kind, device: .known(40), failure: nil)
            let host = Fixture.host(Fixture.configuration { _ in }, devices: [vnet] + ends)
            return DestinationStatus(verdict, on: host, sources: [CopySource(vnet, snaplen: nil)].compactMap { $0 }).warnings.first
        }
        #expect(warning() == nil)
        ends[narrow].mtu = 1_400
        let found = try #require(warning())
        #expect(found.reason == .mtuTooSmall)
        let says = "\(ends[narrow].name) takes packets of 1400 bytes, and vnet0, which is tapped to it, has an MTU of 1500"
        #expect(found.message.hasPrefix(says))
    }

    @Test func theListenerOfAPortIsToldByItsPair() {
        var ends = [
            HostDevice(index: 40, name: "virttap-span0", mac: nil, kind: .other("veth")),
            HostDevice(index: 41, name: "renamed", mac: nil, kind: .other("veth")),
        ]
        (ends[0].link, ends[1].link) = (41, 40)
        #expect(DeviceTable(ends).listener(ofPort: ends[0])?.name == "renamed")
        #expect(DeviceTable([ends[0]]).listener(ofPort: ends[0]) == nil)
    }

    @Test func aDeviceThatTakesSmallerPacketsIsToldOf() throws {
        func warning(device: UInt32, source: UInt32, mtu: UInt32? = nil, snaplen: Snaplen? = nil) -> TapStatus.Warning? {
            let configuration = Fixture.configuration { $0.destinations[0].mtu = mtu }
            var vnet = Fixture.vnet()
            vnet.mtu = source
            let host = Fixture.host(configuration, devices: [vnet, Fixture.span { $0.mtu = device }])
            let sources = [CopySource(vnet, snaplen: snaplen)].compactMap { $0 }
            let status = DestinationStatus(configuration.destinations[0], on: host, sources: sources)
            #expect(status.state == .active)
            return status.warnings.first
        }
        #expect(warning(device: 1_500, source: 1_500) == nil)
        #expect(warning(device: 9_000, source: 9_000, mtu: 9_000) == nil)
        let jumbo = try #require(warning(device: 1_500, source: 9_000))
        #expect(jumbo.reason == .mtuTooSmall)
        #expect(jumbo.message.hasPrefix("mon0 takes packets of 1500 bytes, and vnet0, which is tapped to it, has an MTU of 9000"))
        #expect(jumbo.message.contains("`ip link set mon0 mtu 9000`"))
        #expect(warning(device: 1_500, source: 9_000, snaplen: .bytes(1_514)) == nil)
        #expect(warning(device: 1_500, source: 9_000, snaplen: .headers) == nil)
        #expect(warning(device: 1_500, source: 1_500, snaplen: .bytes(4_000)) == nil)
        let cut = try #require(warning(device: 1_500, source: 9_000, snaplen: .bytes(4_000)))
        #expect(cut.message.hasPrefix("mon0 takes packets of 1500 bytes, and copies from vnet0 are truncated to 4000 bytes"))
        #expect(cut.message.contains("`ip link set mon0 mtu 3986`"))
        let made = try #require(warning(device: 1_400, source: 1_500, mtu: 1_450))
        #expect(made.message.hasPrefix("mon0 takes packets of 1400 bytes, and copies are made to fit mtu=\"1450\""))
    }

    @Test func whereAPathIsTooSmallTheAdviceSaysWhatToRaise() throws {
        func message(mtu: UInt32?) throws -> String {
            let tunnel = Tunnel(kind: .vxlan, remote: "192.0.2.10", identifier: 100)
            let definition = DestinationDefinition(name: TapName("far")!, target: .tunnel(tunnel), mtu: mtu)
            var host = Fixture.host()
            host.paths[try #require(UnderlayQuery(tunnel))] = .success(
                UnderlayPath(
                    ifindex: 20, device: "mon0", source: [192, 0, 2, 1], sourceMAC: MACAddress("02:00:00:00:00:0a")!,
                    nextHop: [192, 0, 2, 10], nextHopMAC: MACAddress("02:00:00:00:00:0b"), mtu: 1_500))
            let record = DestinationRecord(label: "far", kind: .vxlan, ifindex: 20, fragmented: Counter(packets: 2, bytes: 3_000))
            return try #require(DestinationStatus(definition, on: host, record: record).warnings.first).message
        }
        #expect(try message(mtu: nil).hasPrefix("the path takes packets of 1500 bytes, so frames of over 1464 bytes do not fit: 2 sent in"))
        #expect(try message(mtu: nil).contains("raise the path's MTU to 1554,"))
        #expect(try message(mtu: 1_400).hasPrefix("by its mtu= the path takes packets of 1400 bytes"))
        #expect(try message(mtu: 1_400).contains("give mtu=\"1554\" where the path takes that,"))
    }

    @Test func degradedNamesTheInterface() throws {
        let second = Fixture.interface("net1", mac: MACAddress("52:54:00:00:00:02"), type: .hostdev, device: nil)
        let domain = Fixture.domain(interfaces: [Fixture.interface(), second])
        let desired = Fixture.desired()[0]
        let tap = try #require(build(view(domain), kernel([Fixture.observed(desired)])).first)
        #expect(tap.state == .degraded)
        #expect(tap.reason == .interfaceTypeUnsupported)
        #expect(tap.message?.hasPrefix("1 of 2 interfaces not tapped; net1: ") == true)
    }

    @Test func theMostSevereStateShows() throws {
        let interfaces = [
            Fixture.interface(device: nil),  // pending
            Fixture.interface("net1", type: .hostdev),  // unsupported
            Fixture.interface("net2", mac: MACAddress("52:54:00:00:00:09"), device: "mon0"),  // denied
        ]
        let domain = Fixture.domain(interfaces: interfaces)
        var tap = try #require(build(view(domain), kernel([])).first)
        #expect(tap.state == .denied && tap.reason == .deviceNotOwned)
        tap = try #require(build(view(Fixture.domain(interfaces: Array(interfaces[..<2]))), kernel([])).first)
        #expect(tap.state == .unsupported)
        tap = try #require(build(view(Fixture.domain(interfaces: Array(interfaces[..<1]))), kernel([])).first)
        #expect(tap.state == .pending && tap.reason == .deviceGone)
    }

    @Test func failuresOfTheKernelShow() throws {
        let desired = Fixture.desired()[0]
        let why = Failure(.attachFailed, "the verifier said no")
        let tap = try #require(build(view(), kernel([], failures: [desired.key.id: why])).first)
        #expect(tap.state == .failed && tap.reason == .attachFailed && tap.message == why.message)
    }

    @Test func destinationDownIsFailedAlthoughAttached() throws {
        let host = Fixture.host(devices: [Fixture.vnet()])
        let tap = try #require(build(view(host: host), kernel([Fixture.observed(Fixture.desired(host: host)[0])])).first)
        #expect(tap.state == .failed && tap.reason == .destinationDown)
        #expect(tap.interfaces[0].mechanism == .tcx)
    }

    @Test func definitions() {
        let desired = Fixture.desired()[0]
        let observed = kernel([Fixture.observed(desired)])
        var changed = Fixture.tap()
        changed.direction = .inbound
        let gone = build(view(persistent: Fixture.domain([])), observed)
        #expect(gone.map(\.definition) == [.liveOnly])
        #expect(gone[0].warnings.map(\.reason) == [.definitionDiffers])
        let transient = build(view(persistent: nil), observed)
        #expect(transient.map(\.definition) == [.liveOnly])
        #expect(transient[0].warnings.isEmpty, "there is no next start")
        let differs = build(view(persistent: Fixture.domain([changed])), observed)
        #expect(differs.map(\.definition) == [.differs])
        #expect(differs[0].warnings.map(\.reason) == [.definitionDiffers])
        let coming = build(view(persistent: Fixture.domain([Fixture.tap(), Fixture.tap("later")])), observed)
        #expect(coming.map(\.definition) == [.both, .configOnly])
        #expect(coming[1].state == .pending && coming[1].reason == .nextStart)
    }

    @Test func whatLibvirtWouldTellWaitsForLibvirt() throws {
        let gone = view(host: Fixture.host(devices: [Fixture.span()]))
        let builder = TapStatusBuilder(hostWarnings: [], kernel: kernel([]), disconnected: "connection refused")
        let tap = try #require(builder.taps(of: gone).first)
        #expect(tap.state == .pending && tap.reason == .libvirtDisconnected)
        #expect(tap.message?.hasSuffix("libvirt cannot be asked: connection refused") == true)
        #expect(build(gone, kernel([])).first?.reason == .deviceGone)
        // What copies goes on being active.
        let active = TapStatusBuilder(
            hostWarnings: [], kernel: kernel([Fixture.observed(Fixture.desired()[0])]), disconnected: "connection refused")
        #expect(active.taps(of: view()).first?.state == .active)
    }

    @Test func xmlThatCannotBeReadIsTold() {
        var unreadable = view()
        unreadable.live = nil
        unreadable.verdicts = []
        unreadable.unreadable = Failure(.invalidMetadata, "too deep")
        let taps = build(unreadable, kernel([]))
        #expect(taps.map(\.state) == [.failed] && taps.map(\.message) == ["too deep"])
    }

    @Test func shutOff() {
        var off = Fixture.tap("off")
        off.enabled = false
        var domain = Fixture.domain([Fixture.tap(), off])
        domain.taps.append(.invalid(name: TapName("bad")!, required: false, Failure(.invalidMetadata, "…")))
        let taps = build(view(domain, persistent: domain, isRunning: false), kernel([]))
        #expect(taps.map(\.reason) == [.domainNotRunning, .disabledByMetadata, .invalidMetadata])
        #expect(taps.map(\.state) == [.pending, .disabled, .failed])
        #expect(taps.allSatisfy { $0.running == false && $0.definition == .configOnly })
    }

    @Test func warningsOnWhatIsActive() throws {
        let desired = Fixture.desired()[0]
        let hook = TapStatus.Warning(reason: .hookMissing, message: "…")
        let observed = Fixture.observed(desired, hook: .attached(position: 1, foreignAhead: 1))
        let tap = try #require(build(view(), kernel([observed]), warnings: [hook]).first)
        #expect(tap.state == .active)
        #expect(tap.warnings.map(\.reason) == [.hookMissing, .notFirst])
        let failed = try #require(build(view(), kernel([]), warnings: [hook]).first)
        #expect(failed.warnings.isEmpty)
    }

    @Test func whatKeepsLibvirtFromSettingLimitsSaysSo() throws {
        for (isMacvtap, direction) in [(false, "outbound"), (true, "inbound")] {
            var domain = Fixture.domain()
            if isMacvtap { domain.interfaces[0].type = .direct }
            var desired = Fixture.desired()[0]
            desired.interface.isMacvtap = isMacvtap
            var observed = Fixture.observed(desired)
            observed.excludesLimits = true
            let builder = TapStatusBuilder(hostWarnings: [], kernel: kernel([observed]))
            let outcome = TapVerdict.Outcome.evaluated(
                DestinationVerdict(label: "ids", kind: .interface, device: .known(2), failure: nil),
                [InterfaceVerdict(interface: domain.interfaces[0], result: .attach(desired))])
            var view = view(domain)
            view.verdicts = [TapVerdict(entry: .valid(Fixture.tap()), outcome: outcome)]
            let tap = try #require(builder.taps(of: view).first)
            #expect(tap.state == .active)
            #expect(tap.warnings.map(\.reason).contains(.qdiscConflict))
            #expect(tap.warnings.first?.message.contains("domiftune --\(direction)") == true)
        }
    }

    @Test func everyReasonHasAStateOrIsAWarning() {
        let warnings: Set<Reason> = [
            .hostListens,
            .hookMissing, .hookNotCalled, .notFirst, .configStale, .definitionDiffers, .statusSocketMissing, .restartNeeded, .foreignMark,
            .deviceChanged,
        ]
        for reason in Reason.allCases { #expect((reason.state == nil) == warnings.contains(reason)) }
        #expect(!Reason.allCases.contains { $0.state == .active || $0.state == .degraded })
    }

    @Test func jsonHasEveryKeyAndNullsWhereNothingIsKnown() throws {
        let desired = Fixture.desired()[0]
        var view = kernel([Fixture.observed(desired)])
        view.counters[desired.key.id] = [
            .inbound: DirectionCounters(
                copied: Counter(packets: 3, bytes: 300), errors: Counter(packets: 1, bytes: 60), marked: Counter(packets: 9, bytes: 9))
        ]
        let document = StatusDocument(
            host: .init(name: "hv1", kernel: "6.18", libvirt: nil), daemon: .down, hook: .init(installed: false, seen: nil),
            config: .init(path: "/x", loaded: nil, stale: false, message: nil), taps: build(self.view(), view), destinations: [])
        let data = try JSONEncoder().encode(document)
        let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(json["version"] as? Int == 1)
        let tap = try #require((json["taps"] as? [[String: Any]])?.first)
        for key in [
            "domain", "uuid", "name", "origin", "definition", "destination", "direction", "filter", "snaplen", "sample", "sample_flows",
            "rate", "burst", "once", "required", "enabled", "state", "reason", "message", "warnings", "interfaces",
        ] { #expect(tap.keys.contains(key), "\(key)") }
        #expect(tap["filter"] is NSNull && tap["reason"] is NSNull)
        let interface = try #require((tap["interfaces"] as? [[String: Any]])?.first)
        for key in [
            "alias", "mac", "device", "ifindex", "type", "mechanism", "position", "since", "state", "reason", "message", "inbound",
            "outbound",
        ] {
            #expect(interface.keys.contains(key), "\(key)")
        }
        #expect(interface["outbound"] is NSNull)
        let inbound = try #require(interface["inbound"] as? [String: [String: Int]])
        #expect(inbound["seen"] == ["packets": 4, "bytes": 360])
        #expect(Set(inbound.keys) == ["seen", "copied", "filtered", "sampled_out", "rate_limited", "errors", "marked", "already_copied"])
        #expect(try JSONDecoder().decode(StatusDocument.self, from: data) == document)
    }
}
