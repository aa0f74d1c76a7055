// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Foundation
import TapModel
import Testing

@testable import TapCommands

@Suite("What status shows, and its exit code")
struct StatusSelectionTests {
    private let document = Samples.document([
        Samples.tap("web1"), Samples.tap("--help", uuid: Samples.otherUUID), Samples.tap("off", running: false),
    ])

    private func names(_ selection: StatusSelection) throws -> [String] { try selection.apply(to: document).taps.map(\.domain) }

    @Test("Domains that are shut off only when asked for")
    func all() throws {
        #expect(try names(StatusSelection()) == ["web1", "--help"])
        #expect(try names(StatusSelection(includesShutOff: true)) == ["web1", "--help", "off"])
        #expect(try names(StatusSelection(domains: ["off"])) == ["off"])
    }

    @Test("By name, and by UUID in any form")
    func domains() throws {
        #expect(try names(StatusSelection(domains: ["--help"])) == ["--help"])
        #expect(try names(StatusSelection(domains: [Samples.otherUUID.hex.uppercased()])) == ["--help"])
    }

    @Test("An unknown one is an error that names the nearest")
    func unknown() {
        #expect(throws: CommandFailure(.failure, "domain \"web2\" has no tap or does not exist; domain \"web1\" has one")) {
            try names(StatusSelection(domains: ["web1", "web2"]))
        }
        #expect(
            throws: CommandFailure(.failure, "domain \"database\" has no tap or does not exist; `virsh list --all` shows the domains")
        ) {
            try names(StatusSelection(domains: ["database"]))
        }
    }

    @Test("With the daemon down nobody knows what domains there are")
    func withoutDaemon() throws {
        var down = document
        down.daemon = .down
        let selection = StatusSelection(domains: ["nope", "web1"])
        #expect(try selection.apply(to: down).taps.map(\.domain) == ["web1"])
        #expect(selection.unknown(in: down) == ["nope"])
        down.taps = []
        #expect(StatusTable.text(down, isSelection: true, for: .none) == "no taps of these domains in the kernel\n")
        #expect(StatusTable.text(down, for: .none) == "no taps in the kernel\n")
        #expect(StatusTable.text(down, isSelection: true, isKnown: false, for: .none) == "the taps are not known\n")
    }

    @Test("Before libvirt has answered nobody knows what domains there are, and nothing is said not to be there")
    func incomplete() throws {
        var early = Samples.document([])
        (early.daemon.complete, early.daemon.connected) = (false, false)
        #expect(
            throws: CommandFailure(.failure, "the taps of \"web1\" are not known yet: libvirt has not answered virt-tapd yet")
        ) { try StatusSelection(domains: ["web1"]).apply(to: early) }
        #expect(
            StatusTable.text(early, for: .none) == "the taps are not known yet: libvirt has not answered virt-tapd yet\n")
        early.daemon.connected = true
        let listing = StatusTable.text(early, for: .none)
        #expect(listing.hasPrefix("the taps are not known yet: the domains are still being read from libvirt\n"))
        // Those in the kernel are shown, and are not all.
        early.taps = [Samples.tap("web1")]
        #expect(
            StatusTable.text(early, for: .none).contains(
                "\nvirt-tapd: the domains are still being read from libvirt: some taps may be missing here; "))
        // It knew them all, and lost libvirt.
        var later = Samples.document([])
        later.daemon.connected = false
        #expect(StatusTable.text(later, for: .none).hasPrefix("no taps when libvirt last answered\n"))
        // One of before, which does not say.
        later.daemon.complete = nil
        #expect(StatusTable.text(later, for: .none).hasPrefix("the taps are not known: libvirt does not answer virt-tapd\n"))
    }

    @Test("--check: a daemon that has known no domain for over a minute is no good sign")
    func blind() {
        var early = Samples.document([])
        early.daemon.since = Timestamp(seconds: 100)
        #expect(!StatusHealth.lacksDomains(early.daemon, at: Timestamp(seconds: 1_000)))
        early.daemon.complete = false
        #expect(!StatusHealth.lacksDomains(early.daemon, at: Timestamp(seconds: 160)))
        #expect(StatusHealth.lacksDomains(early.daemon, at: Timestamp(seconds: 161)))
        #expect(!StatusHealth.lacksDomains(.down, at: Timestamp(seconds: 161)))
    }

    @Test("Names that only look alike are different")
    func normalisation() throws {
        let document = Samples.document([Samples.tap("e\u{301}")])
        #expect(throws: CommandFailure.self) { try StatusSelection(domains: ["\u{E9}"]).apply(to: document) }
    }

    @Test("--check: what does not work", arguments: [TapState.failed, .denied, .degraded, .unsupported])
    func unhealthy(state: TapState) {
        #expect(StatusHealth.isUnhealthy(Samples.document([Samples.tap("a"), Samples.tap("b", state: state)]), at: Timestamp(seconds: 0)))
    }

    @Test("--check: what is as it should be", arguments: [TapState.active, .disabled, .pending])
    func healthy(state: TapState) {
        #expect(!StatusHealth.isUnhealthy(Samples.document([Samples.tap("a", state: state)]), at: Timestamp(seconds: 1_000)))
    }

    /// Seconds after which each counts: what may be pending at all.
    @Test(
        "--check: what passes by itself counts when it should have passed, in a domain that runs",
        arguments: [(Reason.deviceGone, 10), (.filterPending, 10), (.attachFailed, 10), (.libvirtDisconnected, 60)] as [(Reason, Int64)])
    func pending(reason: Reason, patience: Int64) {
        var tap = Samples.tap("a", state: .pending, reason: reason)
        tap.stateSince = Timestamp(seconds: 100)
        #expect(!StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 100)))
        #expect(!StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 100 + patience)))
        #expect(StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 101 + patience)))
        tap.running = false
        #expect(!StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 101 + patience)))
    }

    @Test("--check: what waits for a start that somebody will make is as it should be", arguments: [Reason.nextStart, .domainNotRunning])
    func waiting(reason: Reason) {
        var tap = Samples.tap("a", state: .pending, reason: reason)
        tap.stateSince = Timestamp(seconds: 100)
        #expect(!StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 1_000_000)))
    }

    @Test("Every reason that makes a tap pending has a patience, and no other")
    func patience() {
        for reason in Reason.allCases where reason != .attachFailed {
            let isOrdered = [.nextStart, .domainNotRunning, .disabledByHost, .disabledByMetadata].contains(reason)
            #expect(isOrdered == (reason.patience == nil), "\(reason)")
            #expect(isOrdered || (reason.state == .pending) == (reason.patience != 0), "\(reason)")
        }
    }

    @Test("--check: a tap that copies and only waits for one more interface is given the same time")
    func partlyPending() {
        var late = Samples.interface("net1", device: "vnet4")
        late.state = .pending
        late.reason = .deviceGone
        var tap = Samples.tap(
            "a", state: .degraded, reason: .deviceGone, interfaces: [Samples.interface("net0", device: "vnet3"), late])
        tap.stateSince = Timestamp(seconds: 100)
        #expect(!StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 110)))
        #expect(StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 111)))
        tap.interfaces[1].state = .failed
        tap.interfaces[1].reason = .attachFailed
        #expect(StatusHealth.isUnhealthy(Samples.document([tap]), at: Timestamp(seconds: 100)))
    }

    @Test("JSON has every key, sorted, and null where nothing is known")
    func json() throws {
        let document = Samples.document([
            Samples.tap("web1\u{1B}", interfaces: [Samples.interface("net0", device: "vnet3")])
        ])
        let text = try StatusJSON.text(document)
        let object = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(Set(object.keys) == ["version", "host", "daemon", "hook", "config", "taps", "destinations"])
        let tap = try #require((object["taps"] as? [[String: Any]])?.first)
        #expect(
            Set(tap.keys).isSuperset(of: [
                "domain", "uuid", "name", "origin", "definition", "destination", "direction", "filter", "snaplen", "sample", "sample_flows",
                "rate", "burst", "once", "required", "enabled", "state", "reason", "message", "warnings", "interfaces", "state_since",
                "running",
            ]))
        #expect(tap["filter"] is NSNull)
        let interface = try #require((tap["interfaces"] as? [[String: Any]])?.first)
        #expect(
            Set(interface.keys).isSuperset(of: [
                "alias", "mac", "device", "ifindex", "type", "mechanism", "position", "since", "state", "reason", "message", "inbound",
                "outbound",
            ]))
        let inbound = try #require(interface["inbound"] as? [String: [String: Int]])
        #expect(Set(inbound.keys) == ["seen", "copied", "filtered", "sampled_out", "rate_limited", "errors", "marked", "already_copied"])
        #expect(inbound["seen"] == ["packets": 1_234, "bytes": 2_000_000])
        let keys = text.split(separator: "\n").filter { $0.hasPrefix("  \"") }.map { $0.split(separator: "\"")[1] }
        #expect(keys == keys.sorted() && text.hasSuffix("}\n") && text.contains("qemu:///system"))
        #expect(try JSONDecoder().decode(StatusDocument.self, from: Data(text.utf8)) == document)
    }
}
