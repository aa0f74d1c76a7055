// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// Two hypervisors whose bridges are one segment, so that a guest that moves between them keeps its neighbours:
/// `one` is 192.0.2.1, `two` 192.0.2.2.
struct HostPair: Sendable {
    let one: TappedHost
    let two: TappedHost

    /// The hosts of the running suite.
    @TaskLocal static var current: HostPair!

    static func with<Result>(_ body: (HostPair) async throws -> Result) async throws -> Result {
        try await TappedHost.withTwo { one, two async throws in
            let pair = HostPair(one: one, two: two)
            try await one.lab.link("to-two", to: two.lab, "to-one")
            try await one.lab.succeed("ip", "link", "set", "to-two", "master", "br0")
            try await two.lab.succeed("ip", "link", "set", "to-one", "master", "br0")
            try await two.lab.succeed("ip", "address", "flush", "dev", "br0")
            try await two.lab.succeed("ip", "address", "add", "192.0.2.2/24", "dev", "br0")
            return try await body(pair)
        }
    }

    var hosts: [TappedHost] { [one, two] }

    func other(than host: TappedHost) -> TappedHost { host === one ? two : one }

    /// Tries to move a running guest to the other host; a migration that fails is a result. Options are those of
    /// `virsh migrate`.
    func migrate(_ guest: Guest, _ options: String...) async throws -> CommandResult {
        try await migrate(guest, options)
    }

    func migrate(_ guest: Guest, _ options: [String]) async throws -> CommandResult {
        let target = guest.host === one.lab ? two : one
        let address = target === one ? "192.0.2.1" : "192.0.2.2"
        let command = [
            "virsh", "-q", "migrate", "--live", "--domain", guest.name, "--desturi", try await target.lab.uri, "--migrateuri",
            "tcp://\(address)",
        ]
        do {
            return try await guest.host.run(command + options, timeout: .seconds(120))
        } catch {
            throw NeverHappened(description: "\(error)\n\(await Self.look(at: guest.name, [guest.host, target.lab]))")
        }
    }

    /// Where a migration that came to no end stands.
    private static func look(at guest: String, _ hosts: [LabHost]) async -> String {
        let questions = [
            ["virsh", "domjobinfo", guest], ["virsh", "domstate", "--reason", guest],
            ["virsh", "qemu-monitor-command", guest, "--hmp", "info migrate"],
            ["ss", "-tanoie"], ["ip", "neigh"], ["ip", "-br", "link"], ["bridge", "fdb", "show", "br", "br0"],
        ]
        var text = ""
        for host in hosts {
            for question in questions {
                guard let answer = try? await host.run(question, timeout: .seconds(10)) else { continue }
                text += "$ \(question.joined(separator: " "))\n\(answer.text)\(answer.errorText)"
            }
        }
        return text
    }

    /// Moves it and returns it as it is there.
    func move(_ guest: Guest, _ options: String...) async throws -> Guest {
        let result = try await migrate(guest, options)
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        return Guest(host: guest.host === one.lab ? two.lab : one.lab, name: guest.name)
    }
}
