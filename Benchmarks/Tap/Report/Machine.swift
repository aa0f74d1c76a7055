// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Glibc

/// Where it was measured.
struct Machine: Codable {
    var kernel: String
    var processor: String
    var processors: Int
    var date: String

    static func current() -> Machine {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let information = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = information.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
        return Machine(
            kernel: release, processor: model.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown",
            processors: sysconf(CInt(_SC_NPROCESSORS_ONLN)), date: String(Date.now.ISO8601Format().prefix(10)))
    }
}
