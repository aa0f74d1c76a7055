// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Glibc

/// Tests on the real kernel run as root in network and mount namespaces of their own, as `make test` arranges, so
/// that they can harm nothing on a hypervisor that is in use and leave nothing behind.
public enum PrivateNamespaces {
    /// Whether this process is root in network and mount namespaces that some ancestor of it is not in: the process
    /// that made them for us, or what started that. (Process 1 itself cannot be asked everywhere.)
    public static let areOurs: Bool = {
        guard getuid() == 0, let net = namespace("self", "net"), let mount = namespace("self", "mnt") else { return false }
        // scripts/test makes a PID namespace too, in which the ancestors cannot be seen: it says where it came from.
        if let outer = ProcessInfo.processInfo.environment["VT_OUTER_NAMESPACES"] {
            let names = outer.split(separator: " ").map(String.init)
            return names.count == 2 && !names.contains(net) && !names.contains(mount)
        }
        var ancestor = getppid()
        while ancestor > 0 {
            if let theirs = namespace("\(ancestor)", "net"), theirs != net, let theirs = namespace("\(ancestor)", "mnt"), theirs != mount {
                return true
            }
            ancestor = parent(of: ancestor)
        }
        return false
    }()

    private static func namespace(_ process: String, _ name: String) -> String? {
        var target = [UInt8](repeating: 0, count: 64)
        let count = target.withUnsafeMutableBytes { readlink("/proc/\(process)/ns/\(name)", $0.baseAddress!, $0.count) }
        return count > 0 ? String(decoding: target.prefix(count), as: UTF8.self) : nil
    }

    private static func parent(of process: pid_t) -> pid_t {
        let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("PPid:") }
        return line.flatMap { pid_t($0.dropFirst(5).trimmingCharacters(in: .whitespaces)) } ?? 0
    }

    /// For `.enabled(if:)`: in CI the tests run in any case, and fail when they cannot.
    public static var mayRun: Bool { areOurs || ProcessInfo.processInfo.environment["CI"] == "true" }

    public static let why = "SKIPPED: needs root in network and mount namespaces of its own; run `make test`"

    /// - Throws: when the test must not run here.
    public static func require() throws {
        guard areOurs else { throw NotPrivate() }
    }

    public struct NotPrivate: Error, CustomStringConvertible {
        public var description: String { "not root in network and mount namespaces of its own; run the tests with `make test`" }
    }
}
