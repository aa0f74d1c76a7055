// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation

/// virt-tapd as it is shipped, and what the kernel says of it.
final class DaemonProcess {
    private let programs: String
    private var process: Process?
    private let log = FileManager.default.temporaryDirectory.appendingPathComponent("bench-virt-tapd-\(getpid()).log")
    private let configuration = FileManager.default.temporaryDirectory.appendingPathComponent("bench-config-\(getpid()).xml")

    init(programs: String) { self.programs = programs }

    func start() throws {
        let text = """
            <virt-tap><resync interval="86400"/><destination name="mon0"><interface name="mon0"/></destination>
            <destination name="mon1"><interface name="mon1"/></destination></virt-tap>
            """
        try Data(text.utf8).write(to: configuration)
        _ = FileManager.default.createFile(atPath: log.path, contents: nil)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: UnitRights.launcher)
        process.arguments = [programs + "/virt-tapd", "--connect", Fleet.uri, "--config", configuration.path]
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        self.process = process
    }

    func stop() {
        process?.terminate()
        process?.waitUntilExit()
        process = nil
    }

    func reload() { if let process { kill(process.processIdentifier, SIGHUP) } }

    var logSinceStart: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

    /// Seconds of user and system time so far.
    var processorTime: Double {
        let text = (try? String(contentsOfFile: "/proc/\(process?.processIdentifier ?? 0)/stat", encoding: .utf8)) ?? ""
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 13, let user = Double(fields[11]), let system = Double(fields[12]) else { return .nan }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// A line of /proc/PID/status, in megabytes.
    func memory(_ key: String) -> Double {
        let text = (try? String(contentsOfFile: "/proc/\(process?.processIdentifier ?? 0)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix(key + ":") } ?? ""
        return Double(line.filter(\.isNumber)).map { $0 * 1_024 / 1e6 } ?? .nan
    }

    func status() throws -> [[String: Any]] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: programs + "/virt-tap")
        process.arguments = ["status", "--json"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let document = try JSONSerialization.jsonObject(with: data) as? [String: Any]
        return document?["taps"] as? [[String: Any]] ?? []
    }

    func requireActive(_ count: Int) throws {
        var active = 0
        try wait("\(count) active taps", within: 60, every: 0.5) {
            active = try status().count { $0["state"] as? String == "active" }
            return active == count
        }
    }

    /// Each domain's destination for which `status` has an active tap.
    func destinations() throws -> [String: String] {
        Dictionary(
            try status().compactMap { tap in
                guard tap["state"] as? String == "active", let domain = tap["domain"] as? String else { return nil }
                return (domain, tap["destination"] as? String ?? "")
            }, uniquingKeysWith: { first, _ in first })
    }
}
