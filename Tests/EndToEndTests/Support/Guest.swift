// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// A real, small guest: Debian's kernel under QEMU, and a shell on its serial port.
struct Guest: Sendable {
    let host: LabHost
    let name: String

    /// Runs a shell command in the guest and returns its output and exit code.
    func run(_ command: String, timeout: Duration = .seconds(45)) async throws -> CommandResult {
        try await Command([LabHost.script, "run", host.folder, name, "--", command], timeout: timeout).run()
    }

    /// As `run`, for a command that must succeed.
    @discardableResult
    func succeed(_ command: String, timeout: Duration = .seconds(45)) async throws -> String {
        let result = try await run(command, timeout: timeout)
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        return result.text
    }

    /// Reboots from inside, by way of the machine's reset, and waits until the guest is back.
    func reboot() async throws {
        let before = try await boots
        try await succeed("(sleep 0.2; reboot -f) >/dev/null 2>&1 &")
        try await eventually("\(name) is back after its reboot", within: .seconds(60)) { try await boots > before }
        try await ready()
    }

    /// Switches itself off and waits until libvirt says so.
    func powerOff() async throws {
        try await succeed("(sleep 0.2; poweroff -f) >/dev/null 2>&1 &")
        try await eventually("\(name) is off", within: .seconds(30)) { try await state == "shut off" }
    }

    func start() async throws {
        try await host.virsh("start", "--", name)
    }

    func destroy() async throws {
        try await host.virsh("destroy", "--", name)
    }

    /// Moves it, running, to another host that this one reaches at an address; returns it there.
    func migrate(to other: LabHost, address: String) async throws -> Guest {
        try await host.virsh(
            "migrate", "--live", "--persistent", "--domain", name, "--desturi", try await other.uri, "--migrateuri",
            "tcp://\(address):49152")
        return Guest(host: other, name: name)
    }

    /// Waits until it answers on its serial port.
    func ready() async throws {
        try await host.lab("ready", name)
    }

    /// libvirt's word: "running", "shut off", …
    var state: String {
        get async throws { try await host.virsh("domstate", "--", name).trimmingCharacters(in: .whitespacesAndNewlines) }
    }

    /// The host's devices of the running guest, in the order of its interfaces: vnet0, …
    var devices: [String] {
        get async throws {
            try await host.virsh("domiflist", "--", name).split(separator: "\n")
                .compactMap { $0.split(separator: " ").first.map(String.init) }.filter { $0 != "-" }
        }
    }

    /// Plugs an interface in, written as XML.
    func plug(_ interface: String) async throws {
        try await onDevice("attach-device", interface)
    }

    /// Unplugs an interface, named by the MAC in its XML, and waits until the guest has let it go.
    func unplug(_ interface: String) async throws {
        let before = try await devices.count
        try await onDevice("detach-device", interface)
        try await eventually("\(name) has let the interface go", within: .seconds(30)) { try await devices.count < before }
    }

    /// Everything that came out of the serial port since the guest was started.
    var console: String {
        get async throws {
            let path = try await host.lab("console", name).text
            return (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        }
    }

    private var boots: Int {
        get async throws { try await console.components(separatedBy: " is ready, up").count - 1 }
    }

    private func onDevice(_ command: String, _ interface: String) async throws {
        let result = try await host.run(["virsh", "-q", command, "--live", name, "/dev/stdin"], input: Data(interface.utf8))
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
    }
}
