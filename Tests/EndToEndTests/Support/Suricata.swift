// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// Suricata of Debian 12's backports, as it comes, with a few rules of ours.
struct Suricata: Sendable {
    let host: LabHost
    private let label: String
    private let device: String
    private var folder: String { "\(host.folder)/\(label)" }

    /// What is alike in two alerts on the same traffic, wherever it was seen.
    struct Alert: Hashable, Comparable, CustomStringConvertible {
        var signature: Int
        var source: String
        var destination: String

        var description: String { "\(signature) \(source) > \(destination)" }
        static func < (left: Self, right: Self) -> Bool { left.description < right.description }
    }

    /// What it says of itself at its end.
    struct Findings {
        /// In any order, each as often as it was raised.
        var alerts: [Alert]
        var packets: Int
        /// For which its socket had no room.
        var dropped: Int
        /// Such as are cut or have lengths that contradict each other.
        var invalid: Int
        /// Bytes of TCP that it never saw.
        var gaps: Int
        /// Of TCP; it counts no others.
        var wrongChecksums: Int
    }

    static let rules = """
        alert http any any -> any any (msg:"a request for passwords"; flow:established,to_server; http.uri; content:"/etc/passwd"; sid:1;)
        alert http any any -> any any (msg:"an answer with passwords"; flow:established,to_client; file.data; content:"root:x:0:0:root"; sid:2;)
        alert tcp any any -> any any (msg:"a shell"; flow:established; content:"uid=0(root) gid=0(root)"; sid:3;)
        alert udp any any -> any any (msg:"a stolen file"; content:"etc/shadow"; sid:4;)
        alert icmp any any -> any any (msg:"a large echo"; itype:8; dsize:>2900; content:"|de de de de de de de de|"; sid:5;)

        """

    /// Starts it, and returns when it listens.
    /// - Parameters:
    ///   - namespace: of ip-netns(8), within the host.
    ///   - settings: each `NAME=VALUE`, beyond the package's own.
    ///   - filter: of pcap-filter(7).
    init(
        _ host: LabHost, at device: String, in namespace: String? = nil, settings: [String] = [], filter: String? = nil
    ) async throws {
        self.host = host
        self.device = device
        label = "suricata-\(UInt32.random(in: 0 ... .max))"
        let package = try await Command([LabHost.repository + "/scripts/lab-suricata"], timeout: .seconds(300)).succeed().lines[0]
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Self.rules.write(toFile: "\(folder)/rules", atomically: false, encoding: .utf8)
        let own = [
            "classification-file=\(package)/etc/suricata/classification.config",
            "reference-config-file=\(package)/etc/suricata/reference.config", "unix-command.enabled=no",
        ]
        var command = namespace.map { ["ip", "netns", "exec", $0] } ?? []
        command += ["env", "LD_LIBRARY_PATH=\(package)/usr/lib/x86_64-linux-gnu", "\(package)/usr/bin/suricata"]
        command += ["-c", "\(package)/etc/suricata/suricata.yaml", "-S", "\(folder)/rules", "-l", folder, "--af-packet=\(device)"]
        for setting in own + settings { command += ["--set", setting] }
        if let filter { command.append(filter) }
        try await host.start(label, command)
        try await eventually("Suricata listens on \(device)", within: .seconds(30)) { host.log(label).contains("Engine started") }
    }

    /// Waits until it has raised so many alerts with this number.
    func wait(for signature: Int, _ count: Int = 1) async throws {
        try await eventually("Suricata's alert \(signature) at \(device)", within: .seconds(15)) {
            try events("alert").count { Self.number($0, "alert", "signature_id") == signature } >= count
        }
    }

    /// Ends it, which raises what it was still waiting with.
    func stop() async throws -> Findings {
        try await host.stop(label, signal: "INT")
        let alerts = try events("alert").map { event in
            func end(_ side: String) -> String { "\(event["\(side)_ip"] ?? "?"):\(event["\(side)_port"] ?? "")" }
            return Alert(signature: Self.number(event, "alert", "signature_id") ?? 0, source: end("src"), destination: end("dest"))
        }
        guard let stats = try events("stats").last else { throw NeverHappened(description: "Suricata's figures: \(host.log(label))") }
        func figure(_ path: String...) throws -> Int {
            guard let number = Self.number(stats["stats"], path) else { throw NeverHappened(description: "Suricata's figure \(path)") }
            return number
        }
        return Findings(
            alerts: alerts.sorted(), packets: try figure("decoder", "pkts"), dropped: try figure("capture", "kernel_drops"),
            invalid: try figure("decoder", "invalid"), gaps: try figure("tcp", "reassembly_gap"),
            wrongChecksums: try figure("tcp", "invalid_checksum"))
    }

    private func events(_ type: String) throws -> [[String: Any]] {
        let text = (try? String(contentsOfFile: "\(folder)/eve.json", encoding: .utf8)) ?? ""
        // Its last line may not be whole yet.
        return text.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
            .filter { $0["event_type"] as? String == type }
    }

    private static func number(_ object: Any?, _ path: String...) -> Int? { number(object, path) }

    private static func number(_ object: Any?, _ path: [String]) -> Int? {
        path.reduce(object) { ($0 as? [String: Any])?[$1] } as? Int
    }
}
