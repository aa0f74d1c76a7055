// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Hypervisor
import Synchronization
import TapModel
import Testing

@testable import TapCommands

@Suite("set and unset")
struct MetadataEditorTests {
    /// A libvirt with one domain; remembers what was written.
    final class Store: MetadataStore {
        struct Write: Equatable {
            var xml: String?
            var live: Bool
            var config: Bool
        }

        let snapshot: DomainSnapshot
        let failing: MetadataSide?
        private let done = Mutex<[Write]>([])
        var writes: [Write] { done.withLock { $0 } }

        init(live: String?, config: String?, failing: MetadataSide? = nil, persistentXML: [UInt8]? = nil) {
            snapshot = DomainSnapshot(
                uuid: Samples.uuid, name: "web1", isRunning: live != nil, isPersistent: config != nil,
                liveXML: live.map { Samples.domainXML($0) } ?? [],
                persistentXML: persistentXML ?? config.map { Samples.domainXML($0, live: false) })
            self.failing = failing
        }

        func domain(named name: String) async throws -> DomainSnapshot { snapshot }

        func setMetadata(_ xml: String?, of uuid: DomainUUID, live: Bool, config: Bool) async throws {
            if failing == (live ? .live : .config) { throw MetadataEditError.refused("read-only\u{1B}") }
            done.withLock { $0.append(Write(xml: xml, live: live, config: config)) }
        }
    }

    private func options(_ arguments: String...) throws -> MetadataEdit.Change { .set(try TapOptions.parse(arguments)) }

    private func run(
        _ store: Store, _ change: MetadataEdit.Change, _ choices: Set<SideChoice> = [], force: Bool = false, host: HostState? = Samples.host
    ) async throws -> MetadataEditor.Report {
        try await MetadataEditor(
            store: store, host: host, filters: FilterCheck { Samples.filters[$0] ?? .failure(Failure(.attachFailed, "no compiler")) },
            force: force
        ).run(change, domain: "web1", choices: choices)
    }

    @Test("Running and persistent are each read, changed and written for itself")
    func bothSides() async throws {
        let store = Store(live: Samples.metadata(#"<v:tap to="span"/>"#), config: "")
        let report = try await run(store, try options("--to", "ids"))
        #expect(
            store.writes == [
                .init(xml: "<taps>\n  <tap to=\"span\"/>\n  <tap to=\"ids\"/>\n</taps>", live: true, config: false),
                .init(xml: "<tap to=\"ids\"/>", live: false, config: true),
            ])
        #expect(report.done == ["web1: tap ids added in the running domain", "web1: tap ids added in the persistent definition"])
        #expect(report.warnings.isEmpty)
    }

    @Test("Which sides: what there is, or what was asked for")
    func sides() async throws {
        func written(live: String?, config: String?, _ choices: Set<SideChoice>) async throws -> [Bool] {
            let store = Store(live: live, config: config)
            _ = try await run(store, try options("--to", "ids"), choices)
            return store.writes.map(\.live)
        }
        #expect(try await written(live: "", config: "", []) == [true, false])
        #expect(try await written(live: "", config: nil, []) == [true])
        #expect(try await written(live: nil, config: "", []) == [false])
        #expect(try await written(live: "", config: "", [.live]) == [true])
        #expect(try await written(live: "", config: "", [.config]) == [false])
        #expect(try await written(live: "", config: "", [.live, .config]) == [true, false])
        #expect(try await written(live: "", config: "", [.current]) == [true])
        #expect(try await written(live: nil, config: "", [.current]) == [false])
        for (live, config, choice) in [(nil, "", SideChoice.live), ("", nil, .config)] as [(String?, String?, SideChoice)] {
            await #expect(throws: CommandFailure.self) { try await written(live: live, config: config, [choice]) }
        }
        await #expect(throws: CommandFailure.self) { try await written(live: "", config: "", [.current, .live]) }
    }

    @Test("With --to a tap is described anew; without, only what is given changes")
    func replace() async throws {
        let old = Samples.metadata(#"<v:tap to="ids" direction="inbound"><v:interface mac="52:54:00:00:00:01"/></v:tap><v:tap to="span"/>"#)
        let anew = Store(live: old, config: nil)
        _ = try await run(anew, try options("--to", "ids", "--direction", "outbound"))
        #expect(anew.writes.first?.xml == "<taps>\n  <tap to=\"ids\" direction=\"outbound\"/>\n  <tap to=\"span\"/>\n</taps>")
        let changed = Store(live: old, config: nil)
        let report = try await run(changed, try options("--name", "ids", "--disabled"))
        #expect(changed.writes.first?.xml?.contains("<tap to=\"ids\" direction=\"inbound\" enabled=\"no\">") == true)
        #expect(changed.writes.first?.xml?.contains("52:54:00:00:00:01") == true)
        #expect(report.done == ["web1: tap ids changed in the running domain"])
        await #expect(throws: CommandFailure(.usage, "several taps (ids, span); choose one with --name")) {
            try await run(Store(live: old, config: nil), try options("--disabled"))
        }
        await #expect(throws: CommandFailure(.usage, "the domain has no tap to change; --to adds one")) {
            try await run(Store(live: "", config: nil), try options("--disabled"))
        }
    }

    @Test("Every option finds its place")
    func allOptions() async throws {
        let store = Store(live: "", config: nil)
        _ = try await run(
            store,
            try options(
                "--to", "ids", "--name", "n1", "--direction", "outbound", "--interface", "52:54:00:00:00:01", "--interface", "net0",
                "--filter",
                "tcp port 80 && host \"x\" < 3", "--snaplen", "headers", "--sample", "1/10", "--rate", "100mbit", "--burst", "64k",
                "--once", "--required"), force: true)
        let xml = try #require(store.writes.first?.xml)
        for part in [
            #"name="n1""#, #"to="ids""#, #"direction="outbound""#, #"<interface mac="52:54:00:00:00:01"/>"#, #"<interface alias="net0"/>"#,
            #"<filter>tcp port 80 &amp;&amp; host &quot;x&quot; &lt; 3</filter>"#, #"snaplen="headers""#, #"sample="1/10""#,
            #"rate="100mbit""#, #"burst="64k""#, #"once="yes""#, #"required="yes""#,
        ] { #expect(xml.contains(part), "\(part) in \(xml)") }
    }

    @Test(
        "Wrong values are usage errors that name the option",
        arguments: zip(
            [
                ["--direction", "in"], ["--snaplen", "10"], ["--name", "a b"], ["--sample", "2/3"], ["--rate", "1mbps"],
                ["--burst", "64k"],
                ["--rate", "1mbit", "--burst", "1g"], ["--filter", ""],
                ["--filter", "a\u{1}b"], ["--interface", ""],
            ],
            [
                "--direction: ", "--snaplen: ", "--name: ", "--sample: ", "--rate: ", "--burst: ", "--burst: ", "--filter: ", "--filter: ",
                "--interface: ",
            ]))
    func wrongValues(arguments: [String], prefix: String) async throws {
        let store = Store(live: "", config: "")
        let change = MetadataEdit.Change.set(try TapOptions.parse(["--to", "ids"] + arguments))
        await #expect {
            _ = try await run(store, change)
        } throws: { error in
            guard let failure = error as? CommandFailure else { return false }
            return failure.code == .usage && failure.lines.allSatisfy { $0.hasPrefix(prefix) }
        }
        #expect(store.writes.isEmpty)
    }

    @Test("What this host would refuse is not written, unless it is forced")
    func validation() async throws {
        for (arguments, sentence) in [
            (["--to", "idss"], "did you mean ids? (no-such-destination)"), (["--to", "private"], "(destination-not-allowed)"),
            (["--to", "ids", "--interface", "52:54:00:00:00:77"], "(no-matching-interface)"),
            (["--to", "ids", "--filter", "tpc"], "syntax error (invalid-filter)"),
            (["--to", "bridge"], "(destination-unsafe)"),
        ] {
            let store = Store(live: "", config: "")
            let change = MetadataEdit.Change.set(try TapOptions.parse(arguments))
            await #expect {
                _ = try await run(store, change)
            } throws: { error in
                (error as? CommandFailure)?.code == .failure && (error as? CommandFailure)?.lines.first?.contains(sentence) == true
            }
            #expect(store.writes.isEmpty)
            let report = try await run(store, change, force: true)
            #expect(store.writes.count == 2 && report.warnings.first?.contains(sentence) == true)
            // Another host's configuration says nothing here.
            if !arguments.contains("--filter") { #expect(try await run(store, change, host: nil).warnings.isEmpty) }
        }
        // What comes by itself is a warning.
        let report = try await run(Store(live: "", config: nil), try options("--to", "span"))
        #expect(
            report.warnings == [
                "tap span: destination span: interface mon1 does not exist; copying begins when it appears (destination-down)"
            ])
        #expect(report.transient == [report.warnings[0]: .destinationDown], "a daemon says so, too")
    }

    @Test("That required is taken back is written whatever keeps the tap from being carried out, and nothing else is")
    func released() async throws {
        let metadata = Samples.metadata(#"<v:tap name="a" to="gone" required="yes"/>"#)
        let store = Store(live: nil, config: metadata)
        let report = try await run(store, try options("--name", "a", "--no-required"))
        #expect(report.warnings.count == 1 && report.warnings.first?.hasSuffix("(no-such-destination)") == true)
        #expect(store.writes.map(\.xml) == [#"<tap name="a" to="gone"/>"#])
        for arguments in [["--no-required", "--direction", "inbound"], ["--direction", "inbound"], ["--required"]] {
            let store = Store(live: nil, config: metadata)
            let change = MetadataEdit.Change.set(try TapOptions.parse(["--name", "a"] + arguments))
            await #expect(throws: CommandFailure.self, "\(arguments)") { try await run(store, change) }
            #expect(store.writes.isEmpty)
        }
    }

    @Test("What is to know of a destination to which copies would go is said")
    func remark() async throws {
        var host = Samples.host
        var (near, far) = (
            HostDevice(index: 50, name: "mon0", mac: nil, kind: .other("veth")),
            HostDevice(index: 52, name: "mon2", mac: nil, kind: .other("veth"))
        )
        (near.link, far.link) = (52, 50)
        host.devices = DeviceTable([near, far])
        let report = try await run(Store(live: nil, config: ""), try options("--to", "ids"), host: host)
        #expect(report.warnings.count == 1 && report.transient.isEmpty)
        #expect(report.warnings.first?.hasPrefix("destination ids: mon2, the other end of mon0, is in this host's own") == true)
        #expect(report.warnings.first?.hasSuffix("(host-listens)") == true)
    }

    @Test("A filter is looked at wherever the domain is; that it could not be tried is a warning")
    func filters() async throws {
        for host in [Samples.host, nil] {
            let store = Store(live: nil, config: "")
            await #expect {
                _ = try await run(store, try options("--to", "ids", "--filter", "tpc"), host: host)
            } throws: { error in
                (error as? CommandFailure)?.lines.first == "tap ids: libpcap does not accept the filter: syntax error (invalid-filter)"
            }
            #expect(store.writes.isEmpty)
            #expect(try await run(store, try options("--to", "ids", "--filter", "tcp"), host: host).warnings.isEmpty)
            #expect(
                try await run(store, try options("--to", "ids", "--filter", "vlan"), host: host).warnings == [
                    "tap ids: no process for it (attach-failed)"
                ])
            #expect(store.writes.map(\.xml) == ["tcp", "vlan"].map { "<tap to=\"ids\">\n  <filter>\($0)</filter>\n</tap>" })
        }
    }

    @Test("A guest's own device is no destination")
    func loop() async throws {
        var host = Samples.host
        let mac = MACAddress("52:54:00:00:00:01")!
        host.devices = DeviceTable([HostDevice(index: 50, name: "vnet3", mac: mac.tapSide, kind: .tap)])
        host.configuration.destinations[0].target = .interface(name: "vnet3", allowShared: false)
        let store = Store(live: "", config: nil)
        let change = try options("--to", "ids")
        await #expect {
            _ = try await run(store, change, host: host)
        } throws: { error in
            (error as? CommandFailure)?.lines.first?.contains("(destination-unsafe)") == true
        }
        #expect(store.writes.isEmpty)
    }

    @Test("Interfaces that cannot be tapped: all of them is a refusal, some of them a warning")
    func unsupportedInterfaces() throws {
        let nic = DomainInterface(mac: MACAddress("52:54:00:00:00:01"), type: .bridge, path: "/i[1]")
        let passed = DomainInterface(mac: MACAddress("52:54:00:00:00:02"), type: .hostdev, path: "/i[2]")
        let tap = Tap(name: Samples.name("ids"), destination: .named(Samples.name("ids")))
        func validation(_ interfaces: [DomainInterface]) -> TapValidation {
            let domain = DomainDefinition(uuid: Samples.uuid, name: "web1", interfaces: interfaces, taps: [.valid(tap)])
            return TapValidation(tap, in: domain, on: Samples.host, side: .config)
        }
        #expect(validation([passed]).refusals.count == 1)
        #expect(validation([nic, passed]).refusals.isEmpty && validation([nic, passed]).warnings.count == 1)
        #expect(validation([nic]).refusals.isEmpty && validation([nic]).warnings.isEmpty)
    }

    @Test("An alias says nothing of a domain that does not run")
    func alias() async throws {
        let store = Store(live: nil, config: "")
        _ = try await run(store, try options("--to", "ids", "--interface", "net0"))
        #expect(store.writes.count == 1)
        // All else about the tap is judged all the same.
        await #expect(throws: CommandFailure.self) {
            try await run(store, try options("--to", "bridge", "--interface", "net0"))
        }
        #expect(store.writes.count == 1)
    }

    @Test("A device's name that libvirt gives is refused, and so is one that the domain does not have")
    func device() async throws {
        let store = Store(live: "", config: "")
        await #expect {
            try await run(store, try options("--to", "ids", "--interface", "vnet0"))
        } throws: { error in
            let failure = error as? CommandFailure
            return failure?.code == .usage && failure?.lines.first?.hasPrefix("--interface: \"vnet0\" may be another interface at") == true
        }
        await #expect {
            try await run(store, try options("--to", "ids", "--interface", "web1lan"))
        } throws: { error in
            guard let lines = (error as? CommandFailure)?.lines else { return false }
            // Nothing suggests to write it into the persistent definition alone.
            return lines.first?.contains("no interface of the domain matches") == true && lines.last?.contains("--config") == false
                && lines.first?.contains("device is the name in <target dev>") == true
        }
        await #expect(throws: CommandFailure.self) {
            try await run(Store(live: nil, config: ""), try options("--to", "ids", "--interface", "br0"))
        }
    }

    @Test("Where only one definition is looked at, that is said of what it does not have")
    func elsewhere() async throws {
        let store = Store(live: Samples.metadata(#"<v:tap to="ids"/>"#), config: "")
        await #expect {
            try await run(store, .unset(names: ["ids"], all: false), [.config])
        } throws: { error in
            (error as? CommandFailure)?.lines.first == "web1 has no tap \"ids\" in the persistent definition"
        }
        await #expect {
            try await run(store, try options("--name", "ids", "--disabled"), [.config])
        } throws: { error in
            (error as? CommandFailure)?.lines.first?.hasPrefix("no tap \"ids\" in the persistent definition") == true
        }
        #expect(store.writes.isEmpty)
    }

    @Test("What only one definition is refused for names it, and what would do")
    func oneSided() async throws {
        let moved = String(decoding: Samples.domainXML("", live: false), as: UTF8.self).replacing("00:00:01", with: "00:00:02")
        let store = Store(live: "", config: "", persistentXML: Array(moved.utf8))
        let change = try options("--to", "ids", "--interface", "52:54:00:00:00:01")
        await #expect {
            _ = try await run(store, change)
        } throws: { error in
            guard let lines = (error as? CommandFailure)?.lines, lines.count == 2 else { return false }
            return lines[0].hasPrefix("the persistent definition: tap ids: no interface")
                && lines[1].contains("--live changes only the running domain")
        }
        #expect(store.writes.isEmpty)
        _ = try await run(store, change, [.live])
        #expect(store.writes.map(\.live) == [true])
    }

    @Test("Options are taken back one by one")
    func takenBack() async throws {
        let old = Samples.metadata(
            #"<v:tap to="ids" enabled="no" required="yes" rate="1mbit" burst="64k" once="yes" snaplen="128" sample="1/2"><v:interface alias="x"/>"#
                + "<v:filter>tcp</v:filter></v:tap>")
        let store = Store(live: old, config: nil)
        _ = try await run(store, try options("--no-required", "--disabled"))
        #expect(store.writes.last?.xml?.contains("required") == false)
        _ = try await run(
            store,
            try options(
                "--enabled", "--no-required", "--all-interfaces", "--no-filter", "--no-snaplen", "--no-sample", "--no-rate", "--no-once"))
        #expect(store.writes.last?.xml == "<tap to=\"ids\"/>")
    }

    @Test("A rate and its burst change each for itself")
    func burst() async throws {
        func rate(_ arguments: String...) async throws -> String? {
            let old = Samples.metadata(#"<v:tap to="ids" rate="1mbit" burst="64k" once="yes"/>"#)
            let store = Store(live: old, config: nil)
            _ = try await run(store, .set(try TapOptions.parse(arguments)))
            return store.writes.last?.xml.map { $0.replacing(#"<tap to="ids" "#, with: "").replacing(#" once="yes"/>"#, with: "") }
        }
        #expect(try await rate("--rate", "2mbit") == #"rate="2mbit" burst="64k""#)
        #expect(try await rate("--burst", "1m") == #"rate="1mbit" burst="1m""#)
        #expect(try await rate("--no-burst") == #"rate="1mbit""#)
        #expect(try await rate("--rate", "2kpps", "--no-burst") == #"rate="2kpps""#)
        #expect(try await rate("--rate", "2kpps", "--burst", "9") == #"rate="2kpps" burst="9""#)
        await #expect(throws: CommandFailure.self) { try await rate("--rate", "2kpps") }
    }

    @Test(
        "Options that exclude each other",
        arguments: [
            ["--enabled", "--disabled"], ["--all-interfaces", "--interface", "net0"], ["--no-filter", "--filter", "tcp"],
            ["--no-rate", "--rate", "1mbit"], ["--no-sample", "--sample-flows", "1/2"], ["--no-snaplen", "--snaplen", "64"],
            ["--no-burst", "--burst", "64k"], ["--no-rate", "--burst", "64k"], ["--once", "--no-once"], ["--required", "--no-required"],
        ])
    func exclusive(arguments: [String]) {
        #expect(throws: (any Error).self) { try TapOptions.parse(["--to", "ids"] + arguments) }
    }

    @Test("What cannot be understood is not written over, unless it is forced")
    func invalid() async throws {
        let broken = Samples.metadata(#"<v:tap to="span"/><v:tap to="ids" colour="red"/>"#)
        let store = Store(live: "", config: broken)
        await #expect {
            _ = try await run(store, try options("--to", "ids"))
        } throws: { error in
            guard let failure = error as? CommandFailure else { return false }
            return failure.code == .failure && failure.lines.first?.contains("colour") == true
                && failure.lines.last?.contains("--force") == true
        }
        #expect(store.writes.isEmpty, "the live side is not written either")
        await #expect {
            _ = try await run(store, try options("--to", "ids"))
        } throws: { error in
            (error as? CommandFailure)?.lines.last?.contains("`virsh metadata web1 --uri urn:virt-tap:1 --key tap --config --set") == true
        }
        // Taking out everything needs no force: nothing is lost that was to stay.
        let all = Store(live: "", config: broken)
        #expect(
            try await run(all, .unset(names: [], all: true)).done == [
                "web1: tap span removed in the persistent definition", "web1: 1 invalid tap removed in the persistent definition",
            ])
        #expect(all.writes.map(\.xml) == [nil, nil])
        // An invalid one has a name too, the one that status shows: to take it out is to put things right.
        let named = Store(live: nil, config: broken)
        await #expect {
            try await run(named, .unset(names: ["span"], all: false))
        } throws: { error in
            (error as? CommandFailure)?.lines.last?.contains("`virt-tap unset web1 ids` removes just these") == true
        }
        #expect(named.writes.isEmpty)
        #expect(
            try await run(named, .unset(names: ["ids"], all: false)).done == ["web1: 1 invalid tap removed in the persistent definition"])
        #expect(named.writes.map(\.xml) == ["<tap to=\"span\"/>"])
        let report = try await run(store, .unset(names: ["span"], all: false), [.config], force: true)
        #expect(store.writes == [.init(xml: nil, live: false, config: true)])
        #expect(
            report.done == [
                "web1: tap span removed in the persistent definition", "web1: 1 invalid tap dropped in the persistent definition",
            ])
    }

    @Test(
        "What cannot be told from others by its name is taken out with everything or by force alone",
        arguments: [
            // A second of one name, one whose name cannot be read, what is around the taps, and what is not a tap at all.
            (#"<v:tap to="ids"/><v:tap to="span" name="ids"/>"#, "ids"),
            (#"<v:tap to="ids"/><v:tap name="my tap" to="ids" required="yes"/>"#, "ids"),
            (#"<v:tap name="tap" to="ids"/><v:bogus/>"#, "tap"), (#"<v:tap to="ids"/><v:bogus/>"#, "tap"),
        ])
    func nameless(metadata: String, name: String) async throws {
        let store = Store(live: Samples.metadata(metadata), config: nil)
        await #expect {
            try await run(store, .unset(names: [name], all: false))
        } throws: { error in
            guard let last = (error as? CommandFailure)?.lines.last else { return false }
            return last.contains("--force") && last.contains("unset web1 --all") && !last.contains("just that")
        }
        #expect(store.writes.isEmpty)
    }

    @Test("unset removes what is named, where it is")
    func unset() async throws {
        let store = Store(live: Samples.metadata(#"<v:tap to="ids"/><v:tap to="span"/>"#), config: Samples.metadata(#"<v:tap to="ids"/>"#))
        let report = try await run(store, .unset(names: ["span"], all: false))
        #expect(store.writes.map(\.xml) == ["<tap to=\"ids\"/>", "<tap to=\"ids\"/>"])
        #expect(report.done == ["web1: tap span removed in the running domain"])
        let all = Store(live: Samples.metadata(#"<v:tap to="ids"/>"#), config: "")
        _ = try await run(all, .unset(names: [], all: true))
        #expect(all.writes.map(\.xml) == [nil, nil])
    }

    @Test("A name that is nowhere changes nothing, the others named neither")
    func unsetUnknown() async throws {
        let store = Store(live: Samples.metadata(#"<v:tap to="ids"/>"#), config: "")
        await #expect(throws: CommandFailure(.failure, lines: ["web1 has no tap \"idz\"; did you mean ids?", "nothing was changed"])) {
            try await run(store, .unset(names: ["ids", "idz"], all: false))
        }
        await #expect(throws: CommandFailure(.failure, "web1 has no tap")) {
            try await run(Store(live: "", config: ""), .unset(names: [], all: true))
        }
        #expect(store.writes.isEmpty)
    }

    @Test("A half done change says which half")
    func halfDone() async throws {
        let store = Store(live: "", config: "", failing: .config)
        await #expect(
            throws: CommandFailure(.failure, "the running domain was changed, but the persistent definition was not: read-only\\u{1b}")
        ) {
            try await run(store, try options("--to", "ids"))
        }
    }
}
