// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapControl
import TapModel
import TestSupport

/// A private hypervisor as virt-tap's users have it: the hook installed before libvirtd starts, a configuration, the
/// real daemon.
///
/// Four destinations are configured: `ids` and `span`, each a veth pair whose far end (`ids1`, `span1`) is where a
/// sensor would listen, `late`, whose interface `late0` nobody has made yet, and `far`, on another
/// machine to which there is no route: what asks for a neighbour would be heard by the guests whose frames are counted.
final class TappedHost: Sendable {
    let lab: LabHost
    /// How env(1) starts virt-tapd and virt-tap: `-u NAME`, `NAME=VALUE`.
    private let environment: [String]

    /// The host of the running suite.
    @TaskLocal static var current: TappedHost!

    static let configurationPath = "/etc/virt-tap/config.xml"
    /// The hook's binary is here and not in /usr/bin, so that tests can exchange it.
    static let hookBinary = "/run/vt-bin/virt-tap"

    /// No slow resync comes to the rescue: what a test waits for has to come from an event.
    static let configuration = """
        <virt-tap>
          <resync interval="86400"/>
          <destination name="ids"><interface name="ids0"/></destination>
          <destination name="span"><interface name="span0"/></destination>
          <destination name="late"><interface name="late0"/></destination>
          <destination name="far"><vxlan remote="203.0.113.250" vni="7"/></destination>
        </virt-tap>
        """

    /// - Parameter options: for `lab up`.
    static func with<Result>(
        _ options: [String] = [], environment: [String] = [], _ body: (TappedHost) async throws -> Result
    ) async throws -> Result {
        try await LabHost.with(["--without-libvirtd"] + options) { lab async throws in
            let host = TappedHost(lab: lab, environment: environment)
            try await host.prepare()
            return try await body(host)
        }
    }

    /// Two of them, made ready at the same time.
    static func withTwo<Result>(_ body: (TappedHost, TappedHost) async throws -> Result) async throws -> Result {
        try await LabHost.with(["--without-libvirtd"]) { lab async throws in
            try await LabHost.with(["--without-libvirtd"]) { otherLab async throws in
                let (host, other) = (TappedHost(lab: lab, environment: []), TappedHost(lab: otherLab, environment: []))
                async let first: Void = host.prepare()
                async let second: Void = other.prepare()
                _ = try await (first, second)
                return try await body(host, other)
            }
        }
    }

    private init(lab: LabHost, environment: [String]) {
        self.lab = lab
        self.environment = environment
    }

    private func prepare() async throws {
        for device in ["ids", "span"] {
            try await lab.succeed("ip", "link", "add", "\(device)0", "up", "type", "veth", "peer", "name", "\(device)1")
            try await lab.succeed("ip", "link", "set", "\(device)1", "arp", "off", "up")
            try await lab.succeed("sysctl", "-qw", "net.ipv4.conf.\(device)1.rp_filter=1")
        }
        try configure(Self.configuration)
        try await lab.succeed("mkdir", "-p", "/run/vt-bin", "/etc/libvirt/hooks/qemu.d")
        try await restoreHookBinary()
        let installed = lab.folder + "/installed"
        try await Command(["make", "-s", "-C", LabHost.repository, "install-data", "DESTDIR=\(installed)", "BINDIR=/run/vt-bin"]).succeed()
        try await lab.succeed("cp", installed + "/etc/libvirt/hooks/qemu.d/virt-tap", "/etc/libvirt/hooks/qemu.d/")
        try await startDaemon()
        try await lab.libvirtd("start")
        try await eventually("the daemon is connected to libvirt") { try await status().daemon.connected == true }
    }

    // MARK: - The programs

    /// Where `swift build` put the programs: beside the tests.
    static func program(_ name: String) throws -> String {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return ((tests as NSString).deletingLastPathComponent as NSString).appendingPathComponent(name)
    }

    /// Starts virt-tapd and waits until it answers.
    func startDaemon() async throws {
        try await lab.start("virt-tapd", daemon())
        try await eventually("virt-tapd answers") { await ask(.ping)?.isOK == true }
    }

    /// Starts it as systemd does with virt-tapd.socket: the socket is open before the daemon is, which is started by the
    /// first who asks.
    func listenForDaemon(_ options: String...) async throws {
        try await lab.succeed("mkdir", "-p", "-m", "0700", "/run/virt-tap")
        try await lab.start(
            "virt-tapd", ["systemd-socket-activate", "--listen=/run/virt-tap/control.sock"] + daemon() + options)
        try await eventually("somebody listens on the control socket") { FileManager.default.fileExists(atPath: try controlSocket) }
    }

    /// With the rights that the unit gives it, and no others.
    private func daemon() throws -> [String] {
        [LabHost.repository + "/scripts/as-unit", "env"] + environment + [try Self.program("virt-tapd"), "--log-level", "debug"]
    }

    func stopDaemon(signal: String = "TERM") async throws {
        try await lab.stop("virt-tapd", signal: signal)
    }

    /// As `systemctl reload virt-tapd`, with another configuration.
    func reload(_ configuration: String = TappedHost.configuration) async throws {
        try configure(configuration)
        try await lab.signal("virt-tapd", SIGHUP)
    }

    func configure(_ configuration: String) throws {
        try lab.write(configuration, to: Self.configurationPath)
    }

    /// Runs `virt-tap` in the host.
    func virtTap(_ arguments: String...) async throws -> CommandResult {
        try await virtTap(arguments)
    }

    func virtTap(_ arguments: [String]) async throws -> CommandResult {
        try await lab.run(["env"] + environment + [Self.program("virt-tap")] + arguments)
    }

    /// Runs `virt-tap` in the host, and throws with what it said if it fails.
    @discardableResult
    func virtTapSucceeds(_ arguments: String...) async throws -> CommandResult {
        try await virtTapSucceeds(arguments)
    }

    @discardableResult
    func virtTapSucceeds(_ arguments: [String]) async throws -> CommandResult {
        let result = try await virtTap(arguments)
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        return result
    }

    /// Runs `virt-tap set` where what copies need may come a moment later, as a next hop's answer: exit code 2 says that the tap does not
    /// work yet.
    func setTap(_ arguments: String...) async throws {
        let result = try await virtTap(["set"] + arguments)
        guard [0, 2].contains(result.status) else { throw CommandFailure(result: result, timeout: nil) }
    }

    /// Puts a shell script in the place of the hook's binary.
    func replaceHookBinary(_ script: String) async throws {
        try await lab.succeed("rm", "-f", Self.hookBinary)
        try lab.write("#!/bin/sh\n\(script)\n", to: Self.hookBinary, mode: 0o755)
    }

    func restoreHookBinary() async throws {
        try await lab.succeed("ln", "-sfn", Self.program("virt-tap"), Self.hookBinary)
    }

    // MARK: - What the daemon says

    private var controlSocket: String {
        get throws { try lab.path("/run/virt-tap/control.sock") }
    }

    /// One request on the control socket; nil if nobody answers.
    func ask(_ request: ControlRequest) async -> ControlResponse? {
        try? await answer(to: request).get()
    }

    private func answer(to request: ControlRequest) async throws -> Result<ControlResponse, ControlError> {
        let path = try controlSocket
        return await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    returning: Result { () throws(ControlError) in try ControlClient(path: path).send(request, within: .seconds(20)) })
            }
        }
    }

    func status() async throws -> StatusDocument {
        switch try await answer(to: .status) {
        case .success(let response):
            return try JSONDecoder().decode(StatusDocument.self, from: Data(response.body))
        case .failure(let error):
            let process = try await lab.pid(of: "virt-tapd").map { "process \($0)" } ?? "which is not running"
            throw NeverHappened(description: "virt-tapd, \(process), does not answer: \(error)")
        }
    }

    func taps(of domain: String) async throws -> [TapStatus] {
        try await status().taps.filter { $0.domain == domain }
    }

    func tap(_ name: String = "ids", of domain: String) async throws -> TapStatus? {
        try await taps(of: domain).first { $0.name.text == name }
    }

    /// Waits until a tap is in this state for this reason, and returns it.
    @discardableResult
    func wait(
        for domain: String, tap name: String = "ids", _ state: TapState = .active, _ reason: Reason? = nil,
        within limit: Duration = .seconds(60)
    ) async throws -> TapStatus {
        try await wait(for: domain, tap: name, "\(state.rawValue) \(reason?.rawValue ?? "")", within: limit) {
            $0.state == state && $0.reason == reason
        }
    }

    @discardableResult
    func wait(
        for domain: String, tap name: String = "ids", _ what: String, within limit: Duration = .seconds(60), _ test: (TapStatus) -> Bool
    ) async throws -> TapStatus {
        var last: TapStatus?
        do {
            try await eventually("tap \(name) of \(domain): \(what)", within: limit) {
                last = try await tap(name, of: domain)
                return last.map(test) ?? false
            }
        } catch let problem as NeverHappened {
            throw NeverHappened(description: "\(problem)\nstatus: \(last.map(Self.json) ?? "no such tap")\nlog: \(logTail)")
        }
        return last!
    }

    /// Waits until status names no such tap of a domain that runs, and its pins are gone.
    func waitForEnd(of domain: String, tap name: String = "ids") async throws {
        let uuid = try await uuid(of: domain)
        do {
            try await eventually("tap \(name) of \(domain) is gone") {
                guard try await tap(name, of: domain).map({ $0.running == false }) ?? true else { return false }
                return try !pins().keys.contains { $0.hasPrefix(uuid.hex) && $0.dropFirst(40).hasPrefix(Self.hash(of: name)) }
            }
        } catch let problem as NeverHappened {
            throw NeverHappened(description: "\(problem)\npins: \(try pins().keys)\nlog: \(logTail)")
        }
    }

    /// Puts right what an earlier test left when it failed.
    func withoutTaps() async throws {
        if try await lab.pid(of: "libvirtd") == nil { try await lab.libvirtd("start") }
        if try await lab.pid(of: "virt-tapd") == nil {
            try configure(Self.configuration)
            try await startDaemon()
        }
        for guest in [web1, web2] where try await !taps(of: guest.name).isEmpty {
            for definition in ["--live", "--config"] {
                _ = try await lab.run(
                    "virsh", "metadata", "--domain", guest.name, "--uri", Guest.tapNamespace, definition, "--remove")
            }
            try await eventually("\(guest.name) has no taps") {
                guard try await taps(of: guest.name).isEmpty else { return false }
                return try await pins(of: guest).isEmpty
            }
        }
    }

    /// Ends every guest, and proves that no attachment is left then.
    func endGuests() async throws {
        for name in try await lab.virsh("list", "--name").split(separator: "\n") {
            try await lab.virsh("destroy", "--domain", String(name))
        }
        try await eventually("no pin is left when no guest is") { try pins().isEmpty }
    }

    func uuid(of domain: String) async throws -> DomainUUID {
        let text = try await lab.virsh("domuuid", "--domain", domain).trimmingCharacters(in: .whitespacesAndNewlines)
        guard let uuid = DomainUUID(text) else { throw NeverHappened(description: "the UUID of \(domain): \(text)") }
        return uuid
    }

    /// The part of an attachment's id that stands for the tap.
    private static func hash(of tap: String) -> String {
        guard let name = TapName(tap), let nobody = DomainUUID("00000000-0000-0000-0000-000000000000") else { return "" }
        return String(AttachmentID(AttachmentKey(domain: nobody, origin: .domain, tap: name, ifindex: 0)).text.suffix(16))
    }

    private var logTail: String { lab.log("virt-tapd").split(separator: "\n").suffix(15).joined(separator: "\n") }

    private static func json(_ tap: TapStatus) -> String {
        (try? JSONEncoder().encode(tap)).map { String(decoding: $0, as: UTF8.self) } ?? "?"
    }

    // MARK: - What the kernel holds

    /// The pins of attachments, below the attachments' folder, with their inodes: a pin that was made again has another.
    func pins() throws -> [String: Int] {
        let folder = try lab.path("/sys/fs/bpf/virt-tap/1")
        var pins: [String: Int] = [:]
        for path in FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? [] where path.contains("/") {
            let attributes = try? FileManager.default.attributesOfItem(atPath: folder + "/" + path)
            if let number = attributes?[.systemFileNumber] as? Int { pins[path] = number }
        }
        return pins
    }

    /// The pins of one domain's attachments.
    func pins(of guest: Guest) async throws -> [String: Int] {
        let uuid = try await uuid(of: guest.name).hex
        return try pins().filter { $0.key.hasPrefix(uuid) }
    }
}
