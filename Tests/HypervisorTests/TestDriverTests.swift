// SPDX-License-Identifier: LGPL-2.1-or-later
import Synchronization
import TapModel
import Testing

@testable import Hypervisor

/// Against libvirt's own test driver, which lives in this process and needs neither a daemon nor root.
@Suite(.serialized, .timeLimit(.minutes(2))) struct TestDriverTests {
    private let uri = "test:///default"

    private func xml(_ name: String, metadata: String = "") -> String {
        """
        <domain type='test'><name>\(name)</name><memory>1024</memory><os><type>hvm</type></os>
        <metadata>\(metadata)</metadata><devices><interface type='network'><source network='default'/></interface></devices></domain>
        """
    }

    /// The XML with one kind of quote: libvirt writes metadata with the other.
    private func text(_ bytes: [UInt8]?) -> String {
        String(String(decoding: bytes ?? [], as: UTF8.self).map { $0 == "\"" ? "'" : $0 })
    }

    @Test func theFirstEventIsConnectedAndTheStreamEndsWithTheRun() async throws {
        let source = LibvirtDomainSource(uri: uri)
        var log: EventLog?
        try await EventLog.of(source) {
            log = $0
            try await $0.waitForConnected()
        }
        guard case .connected(let version)? = log?.all.first else {
            Issue.record("\(log?.all ?? [])")
            return
        }
        #expect(version.split(separator: ".").count == 3)
        #expect(log?.isFinished == true)
        await #expect(throws: Failure.self) { try await source.domains() }
    }

    @Test func lifecycleArrivesInOrder() async throws {
        let administrator = try Administrator(uri: uri)
        try await EventLog.of(LibvirtDomainSource(uri: uri)) { log in
            try await log.waitForConnected()
            let uuid = try administrator.define(xml("order"))
            try administrator.start(uuid)
            try administrator.suspend(uuid)
            try administrator.resume(uuid)
            try administrator.destroy(uuid)
            try administrator.rename(uuid, "order2")
            try administrator.undefine(uuid)
            try await log.waitForChange(uuid, "undefined removed")
            let words = log.all.compactMap { if case .domainChanged(uuid, let what) = $0 { what } else { nil } }
            #expect(
                words == [
                    "defined added", "started booted", "suspended paused", "resumed unpaused", "stopped destroyed",
                    "undefined renamed", "defined renamed", "undefined removed",
                ])
        }
    }

    @Test func snapshotsTellLiveAndPersistentApart() async throws {
        let administrator = try Administrator(uri: uri)
        let source = LibvirtDomainSource(uri: uri)
        try await EventLog.of(source) { log in
            try await log.waitForConnected()
            let uuid = try administrator.define(xml("twofold", metadata: "<t:tap xmlns:t='urn:virt-tap:1' to='ids'/>"))
            defer { try? administrator.undefine(uuid) }

            let stopped = try #require(try await source.domain(uuid))
            #expect(stopped.name == "twofold" && !stopped.isRunning && stopped.isPersistent)
            #expect(stopped.liveXML.isEmpty)
            #expect(text(stopped.persistentXML).contains("urn:virt-tap:1"))

            try administrator.start(uuid)
            defer { try? administrator.destroy(uuid) }
            let editor = try await LibvirtMetadataEditor(uri: uri)
            try await editor.setMetadata("<tap to='live'/>", of: uuid, uri: "urn:virt-tap:1", key: "tap", live: true, config: false)
            let running = try #require(try await source.domain(uuid))
            #expect(running.isRunning && running.isPersistent)
            #expect(text(running.liveXML).contains("testnet0") && text(running.liveXML).contains("to='live'"))
            #expect(text(running.persistentXML).contains("to='ids'"))

            let transient = try administrator.create(xml("passing"))
            let snapshot = try #require(try await source.domain(transient))
            #expect(snapshot.isRunning && !snapshot.isPersistent && snapshot.persistentXML == nil)

            let all = try await source.domains()
            #expect(all.contains(running) && all.contains(snapshot))
            try administrator.destroy(transient)
            #expect(try await source.domain(transient) == nil)
            #expect(try await !source.domains().contains { $0.uuid == transient })
        }
    }

    @Test func metadataIsSetReplacedAndRemovedWithAnEventEach() async throws {
        let administrator = try Administrator(uri: uri)
        let source = LibvirtDomainSource(uri: uri)
        let editor = try await LibvirtMetadataEditor(uri: uri)
        try await EventLog.of(source) { log in
            try await log.waitForConnected()
            let uuid = try administrator.define(xml("meta", metadata: "<o:other xmlns:o='urn:other'/>"))
            defer { try? administrator.undefine(uuid) }
            for (number, element) in ["<tap to='one'/>", "<tap to='two'/>", nil].enumerated() {
                try await editor.setMetadata(element, of: uuid, uri: "urn:virt-tap:1", key: "tap", live: false, config: true)
                let events = { log.all.filter { $0 == .domainChanged(uuid, what: "metadata-changed urn:virt-tap:1") }.count }
                try await log.wait("event \(number)") { _ in events() == number + 1 }
                let xml = text(try await source.domain(uuid)?.persistentXML)
                #expect(xml.contains("urn:virt-tap:1") == (element != nil))
                #expect(xml.contains("to='one'") == (number == 0))
                #expect(xml.contains("urn:other"))
            }
        }
    }

    @Test func theEditorFindsDomainsAsVirshDoes() async throws {
        let administrator = try Administrator(uri: uri)
        let editor = try await LibvirtMetadataEditor(uri: uri)
        let running = try administrator.create(xml("seeker"))
        let number = try administrator.number(of: running)
        // The number of a running domain comes before the name of another.
        let named = try administrator.define(xml("\(number)"))
        defer {
            try? administrator.destroy(running)
            try? administrator.undefine(named)
        }
        #expect(try await editor.domain(named: "\(number)").uuid == running)
        #expect(try await editor.domain(named: "\(running)").uuid == running)
        #expect(try await editor.domain(named: "seeker").uuid == running)
        // Asked for by name alone, it is the other; and by UUID, which is no name.
        #expect(try await editor.domain(called: "\(number)")?.uuid == named)
        #expect(try await editor.domain(called: "\(running)") == nil)
        #expect(try await editor.domain(running)?.name == "seeker")
        #expect(try await editor.names().contains("seeker"))
        await #expect { try await editor.domain(named: "nobody") } throws: { error in
            if case MetadataEditError.noSuchDomain(let words) = error { words.contains("nobody") } else { false }
        }
    }

    @Test func theEditorSaysWhyNot() async throws {
        let administrator = try Administrator(uri: uri)
        let editor = try await LibvirtMetadataEditor(uri: uri)
        let transient = try administrator.create(xml("transient"))
        let stopped = try administrator.define(xml("stopped"))
        defer {
            try? administrator.destroy(transient)
            try? administrator.undefine(stopped)
        }
        func expect(_ what: String, _ matches: (MetadataEditError) -> Bool, _ body: () async throws -> Void) async {
            do {
                try await body()
                Issue.record("\(what): went through")
            } catch {
                #expect((error as? MetadataEditError).map(matches) == true, "\(what): \(error)")
            }
        }
        await expect("config of a transient one", { if case .notPersistent = $0 { true } else { false } }) {
            try await editor.setMetadata("<tap/>", of: transient, uri: "urn:virt-tap:1", key: "tap", live: false, config: true)
        }
        await expect("live of a stopped one", { if case .notRunning = $0 { true } else { false } }) {
            try await editor.setMetadata("<tap/>", of: stopped, uri: "urn:virt-tap:1", key: "tap", live: true, config: false)
        }
        await expect("broken XML", { if case .refused = $0 { true } else { false } }) {
            try await editor.setMetadata("<tap", of: stopped, uri: "urn:virt-tap:1", key: "tap", live: false, config: true)
        }
        let gone = try #require(DomainUUID("00000000-0000-4000-8000-000000000001"))
        await expect("nobody", { if case .noSuchDomain = $0 { true } else { false } }) {
            try await editor.setMetadata("<tap/>", of: gone, uri: "urn:virt-tap:1", key: "tap", live: false, config: true)
        }
        let reader = try await LibvirtMetadataEditor(uri: uri, readOnly: true)
        await expect("read-only", { if case .denied = $0 { true } else { false } }) {
            try await reader.setMetadata("<tap/>", of: stopped, uri: "urn:virt-tap:1", key: "tap", live: false, config: true)
        }
    }

    @Test(arguments: ["--help", "$(id)", "tab\u{202E}bidi", "<&'\">"])
    func hostileNamesComeThroughUnchanged(name: String) async throws {
        let administrator = try Administrator(uri: uri)
        let editor = try await LibvirtMetadataEditor(uri: uri)
        let escaped = name.map { ["<": "&lt;", "&": "&amp;"][$0] ?? String($0) }.joined()
        let uuid = try administrator.create(xml(escaped))
        defer { try? administrator.destroy(uuid) }
        #expect(try await editor.domain(named: name).uuid == uuid)
        #expect(try await editor.domain(named: "\(uuid)").name == name)
    }

    @Test func aStormOfEventsLosesNone() async throws {
        let administrator = try Administrator(uri: uri)
        let source = LibvirtDomainSource(uri: uri)
        try await EventLog.of(source) { log in
            try await log.waitForConnected()
            let uuid = try administrator.create(xml("storm"))
            for _ in 0..<500 {
                try administrator.suspend(uuid)
                try administrator.resume(uuid)
            }
            try administrator.destroy(uuid)
            try await log.waitForChange(uuid, "stopped destroyed")
            let words = log.all.compactMap { if case .domainChanged(uuid, let what) = $0 { what } else { nil } }
            let pairs = Array(repeating: ["suspended paused", "resumed unpaused"], count: 500).flatMap { $0 }
            #expect(words == ["started booted"] + pairs + ["stopped destroyed"])
        }
    }

    @Test func questionsFromManyTasksAreAllAnswered() async throws {
        let source = LibvirtDomainSource(uri: uri)
        try await EventLog.of(source) { log in
            try await log.waitForConnected()
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<200 { group.addTask { try await source.domains().count } }
                for try await count in group { #expect(count >= 1) }
            }
        }
    }

    @Test func contextsAreReleasedWithTheConnection() async throws {
        weak var context: EventContext?
        do {
            let (_, sink) = AsyncStream<HypervisorEvent>.makeStream()
            let strong = EventContext(events: sink) { _ in }
            context = strong
            let opened = Reply<LibvirtConnection>()
            LibvirtConnection.open(uri: uri, readOnly: true, threadCount: 1, context: strong) { opened.give($0) }
            let connection = try await opened.value(for: "open", within: .seconds(60))
            let closed = Reply<Void>()
            connection.close { closed.give(.success(())) }
            try await closed.value(for: "close", within: .seconds(60))
        }
        let deadline = ContinuousClock.now + .seconds(10)
        while context != nil, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(10)) }
        #expect(context == nil)
    }

    @Test func reportDescribesLibvirtOrSaysWhyNot() async throws {
        let report = await LibvirtReport.read(uri: uri)
        let daemon = try report.daemon.get()
        #expect(daemon.hypervisor == "TEST" && daemon.uri == uri && daemon.domains >= 1)
        #expect(report.libraryVersion == daemon.libvirtVersion)

        let missing = await LibvirtReport.read(uri: "qemu+unix:///system?socket=/nonexistent/sock")
        #expect(throws: Failure.self) { try missing.daemon.get() }
        guard case .failure(let failure) = missing.daemon else { return }
        #expect(failure.reason == .libvirtDisconnected)
        #expect(failure.message.contains("/nonexistent/sock") && failure.message.contains("No such file"))
    }
}
