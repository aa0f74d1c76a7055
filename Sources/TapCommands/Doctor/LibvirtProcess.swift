// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import Glibc
import TapModel

/// libvirt's daemon as a process, from proc(5).
enum LibvirtProcess {
    private static let names: Set<String> = ["libvirtd", "virtqemud"]

    /// When the oldest one in our mount namespace started: what it found then is what it runs.
    static func started() -> Timestamp? {
        guard let boot = bootTime(), let own = namespace("self"),
            let entries = try? FileManager.default.contentsOfDirectory(atPath: "/proc")
        else { return nil }
        let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
        let times = entries.compactMap { entry -> Int64? in
            guard Int32(entry) != nil, namespace(entry) == own, let text = read("/proc/\(entry)/stat"),
                let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"),
                names.contains(String(text[text.index(after: open)..<close]))
            else { return nil }
            // The name may hold blanks, so fields are counted behind it: starttime is the 22nd, the 20th of these.
            let fields = text[text.index(after: close)...].split(separator: " ")
            return fields.count > 19 ? Int64(fields[19]).map { boot + $0 / ticks } : nil
        }
        return times.min().map(Timestamp.init(seconds:))
    }

    private static func bootTime() -> Int64? {
        read("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Int64($0.dropFirst(6)) }
    }

    private static func namespace(_ process: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/mnt")
    }

    private static func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
