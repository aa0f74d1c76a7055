// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// A capture with room for a long TCP stream, which tshark puts together again: what is around it (VXLAN, Geneve, GRE, ERSPAN,
/// fragments) it takes away itself.
struct StreamCapture: Sendable {
    let host: LabHost
    private let label: String

    /// Returns when tcpdump listens.
    /// - Parameter namespace: of ip-netns(8), within the host.
    init(_ host: LabHost, at device: String, in namespace: String? = nil) async throws {
        self.host = host
        let label = "stream-\(UInt32.random(in: 0 ... .max))"
        self.label = label
        // 256 MiB. Not in immediate mode, in which each frame takes as much of it as the longest may.
        try await host.start(
            label,
            (namespace.map { ["ip", "netns", "exec", $0] } ?? [])
                + [
                    "tcpdump", "-n", "-i", device, "-Q", "in", "-s", "0", "-B", "262144", "-U", "-Z", "root", "-w",
                    "\(host.folder)/\(label).pcap",
                ])
        try await eventually("tcpdump listens on \(device)") { host.log(label).contains("listening on") }
    }

    private var path: String { "\(host.folder)/\(label).pcap" }

    /// Waits until the copies of this flow are there, which come behind all others.
    func wait(for flow: Flow, _ count: Int) async throws {
        let last = Data("vt \(flow.kind) \(flow.guest.name) \(count)\n".utf8)
        try await eventually("packet \(count) of \(flow.kind) in the capture") {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            let size = try file.seekToEnd()
            try file.seek(toOffset: size > 100_000 ? size - 100_000 : 0)
            return try file.readToEnd()?.range(of: last) != nil
        }
    }

    /// Ends the capture and says how many packets tcpdump's socket had no room for.
    func stop() async throws -> Int {
        try await host.stop(label, signal: "INT")
        let line = host.log(label).split(separator: "\n").last { $0.contains("dropped by kernel") }
        guard let line, let count = Int(line.prefix { $0 != " " }) else {
            throw NeverHappened(description: "tcpdump's closing words: \(host.log(label))")
        }
        return count
    }

    /// SHA-256 of the last `size` bytes that the server sent in the capture's nth connection.
    func digest(ofConnection number: Int, last size: Int) async throws -> String { try await Self.digest(path, number, last: size) }

    /// The same of another capture file.
    static func digest(_ path: String, _ number: Int, last size: Int) async throws -> String {
        // Its lines of hexadecimal digits begin with a tab where they are the server's. It is not to know of HTTP, whose long bodies
        // it would put together for itself in a time that grows with their square.
        let script = """
            set -o pipefail
            tshark -n -q --disable-protocol http -o tcp.desegment_tcp_streams:FALSE -r \(path) -z follow,tcp,raw,\(number) | sed -n 's/^\\t//p' | busybox xxd -r -p | tail -c \(size) | sha256sum
            """
        return String(try await Command(["bash", "-c", script], timeout: .seconds(300)).succeed().text.prefix(64))
    }

    /// How many of its frames match.
    func count(_ filter: String) async throws -> Int {
        let text = try await Command(["tcpdump", "-n", "--count", "-r", path, filter]).succeed().text
        guard let count = Int(text.prefix { $0 != " " }) else { throw NeverHappened(description: "tcpdump's count: \(text)") }
        return count
    }

    /// Frees the room that it takes on the disk.
    func remove() throws { try FileManager.default.removeItem(atPath: path) }
}
