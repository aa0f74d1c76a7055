// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import TapModel
import TapXML
import Testing

@testable import TapCommands

@Suite("Where sensor VMs are, for commands")
struct SensorLookupTests {
    private static func host(_ targets: DestinationTarget...) -> HostState {
        var host = Samples.host
        host.configuration.destinations = targets.enumerated().map {
            DestinationDefinition(name: Samples.name("vm\($0.offset)"), target: $0.element)
        }
        host.directory = DomainDirectory()
        return host
    }

    private static func lookup(_ domains: [String: DomainSnapshot]) -> SensorLookup {
        SensorLookup(byName: { domains[$0] }, byUUID: { domains[$0.description] })
    }

    private static func snapshot(_ name: String, isRunning: Bool = true) -> DomainSnapshot {
        DomainSnapshot(
            uuid: Samples.uuid, name: name, isRunning: isRunning, isPersistent: true,
            liveXML: isRunning ? Samples.domainXML("") : [], persistentXML: Samples.domainXML("", live: false))
    }

    @Test func onesThatRunAreFoundWithTheirInterfaces() async throws {
        var host = Self.host(.domain(name: "web1", uuid: nil, mac: nil, alias: nil))
        try await Self.lookup(["web1": Self.snapshot("web1")]).complete(&host)
        #expect(host.directory.isComplete)
        #expect(host.directory[Samples.uuid]?.name == "web1")
        #expect(host.directory[Samples.uuid]?.interfaces?.isEmpty == false)
    }

    @Test func onesThatDoNotRunAreKnown() async throws {
        var host = Self.host(.domain(name: "web1", uuid: nil, mac: nil, alias: nil), .domain(name: "none", uuid: nil, mac: nil, alias: nil))
        try await Self.lookup(["web1": Self.snapshot("web1", isRunning: false)]).complete(&host)
        #expect(host.directory.isComplete && host.directory[Samples.uuid] != nil)
        #expect(host.directory[Samples.uuid]?.interfaces == nil)
    }

    @Test func ofNameAndUUIDBothAreLookedAt() async throws {
        var host = Self.host(.domain(name: "sensor", uuid: Samples.uuid, mac: nil, alias: "net0"))
        try await Self.lookup([Samples.uuid.description: Self.snapshot("other")]).complete(&host)
        let verdict = try DestinationEvaluation.evaluate(host.configuration.destinations[0], host: host).get()
        #expect(verdict.failure?.message.contains("is called other here, not sensor") == true)
    }

    @Test func onlyTheOneThatIsAskedForIsLookedUp() async throws {
        var host = Self.host(
            .domain(name: "web1", uuid: nil, mac: nil, alias: nil), .domain(name: "other", uuid: nil, mac: nil, alias: nil),
            .interface(name: "mon0", allowShared: false))
        let lookup = SensorLookup(
            byName: { name in
                guard name == "web1" else { throw MetadataEditError.denied("not for you") }
                return Self.snapshot(name)
            }, byUUID: { _ in nil })
        try await lookup.complete(&host, for: "vm0")
        #expect(host.directory.isComplete && host.directory[Samples.uuid] != nil)
        #expect(SensorLookup.isNeeded(host.configuration, for: "vm1") && !SensorLookup.isNeeded(host.configuration, for: "vm2"))
    }

    /// The one is not there, of the other the device.
    @Test(arguments: ["net9", "net0"])
    func anInterfaceThatMayComeIsNoReasonToRefuse(_ alias: String) async throws {
        var host = Self.host(.domain(name: "web1", uuid: nil, mac: nil, alias: alias))
        try await Self.lookup(["web1": Self.snapshot("web1")]).complete(&host)
        var domain = try DomainXML.read(Samples.domainXML(Samples.metadata("<v:tap to='vm0'/>"), name: "web2")).domain
        domain.uuid = Samples.otherUUID
        guard case .valid(let tap)? = domain.taps.first else { throw CancellationError() }
        let validation = TapValidation(tap, in: domain, on: host, side: .config)
        #expect(validation.refusals.isEmpty && validation.warnings.count == 1, "\(validation)")
    }

    @Test func withoutAnAnswerNothingIsKnown() async throws {
        var host = Self.host(.domain(name: "web1", uuid: nil, mac: nil, alias: nil))
        await #expect(throws: MetadataEditError.unreachable("gone")) {
            try await SensorLookup(byName: { _ in throw MetadataEditError.unreachable("gone") }, byUUID: { _ in nil }).complete(&host)
        }
        #expect(!host.directory.isComplete)
    }
}
