// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import Glibc
import TapModel

/// libvirt's daemon as a process, from proc(5).
struct LibvirtProcess: Equatable {
    /// `libvirtd`, or `virtqemud` where libvirt's daemons are modular.
    var name: String
    /// What it found then, such as hooks, is what it runs.
    var started: Timestamp

    /// The one in our mount namespace that clients are connected with, or `nil`.
    ///
    /// A client takes virtqemud's socket where both have one. Of two with one name the older is the daemon, and the other
    /// its child.
    static func running() -> LibvirtProcess? {
        guard let boot = bootTime(), let own = namespace("self"),
            let entries = try? FileManager.default.contentsOfDirectory(atPath: "/proc")
        else { return nil }
        let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
        var times: [String: Int64] = [:]
        for entry in entries {
            guard Int32(entry) != nil, namespace(entry) == own, let text = read("/proc/\(entry)/stat"),
                let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
            else { continue }
            let name = String(text[text.index(after: open)..<close])
            guard names.contains(name) else { continue }
            // The name may hold blanks, so fields are counted behind it: starttime is the 22nd, the 20th of these.
            let fields = text[text.index(after: close)...].split(separator: " ")
            guard fields.count > 19, let start = Int64(fields[19]) else { continue }
            times[name] = min(boot + start / ticks, times[name] ?? .max)
        }
        for name in names {
            if let seconds = times[name] { return LibvirtProcess(name: name, started: Timestamp(seconds: seconds)) }
        }
        return nil
    }

    private static let names = ["virtqemud", "libvirtd"]

    private static func bootTime() -> Int64? {
        read("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Int64($0.dropFirst(6)) }
    }

    private static func namespace(_ process: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/mnt")
    }

    private static func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
