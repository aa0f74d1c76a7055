// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

/// Metadata for virt-tap, written with libvirt's own command.
extension Guest {
    static let tapNamespace = "urn:virt-tap:1"

    /// Sets the running guest's metadata of our namespace, `<tap to="ids"/>` or `<taps>…`, and if asked to those of its
    /// persistent definition too.
    func setMetadata(_ element: String, persistently: Bool = false) async throws {
        let places = persistently ? ["--live", "--config"] : ["--live"]
        let command = ["virsh", "-q", "metadata", "--domain", name, "--uri", Self.tapNamespace, "--key", "tap", "--set", element]
        let result = try await host.run(command + places)
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
    }

    /// Takes them away again.
    func removeMetadata() async throws {
        try await host.virsh("metadata", "--domain", name, "--uri", Self.tapNamespace, "--live", "--remove")
    }

    /// Pings another guest, five a second or faster, and expects every answer.
    func pingsWithoutLoss(_ address: String, count: Int = 20, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let result = try await run("ping -q -c \(count) -i 0.02 -W 3 \(address)")
        #expect(
            result.text.contains("\(count) packets transmitted, \(count) packets received"), "\(result.text)",
            sourceLocation: sourceLocation)
    }

    /// What the host's device of the guest's first interface counts: what the guest sent and received.
    func deviceCounts() async throws -> (sent: Int, received: Int) {
        let device = try await devices[0]
        let files = ["rx_packets", "tx_packets"].map { "/sys/class/net/\(device)/statistics/\($0)" }
        let numbers = try await host.run(["cat"] + files).text.split(separator: "\n").compactMap { Int($0) }
        return (numbers[0], numbers[1])
    }
}
