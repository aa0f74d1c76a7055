// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import DataplaneTestSupport
import Foundation

@testable import FilterCompiler

/// A child that has done all it does before it reads the expression, and waits for that.
final class WaitingChild: Sendable {
    let child: clibpcap_child

    init() throws {
        var child = clibpcap_child()
        var arguments = (BuiltProgram.child + [FilterChild.tags]).map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        guard clibpcap_spawn(&arguments, &child) == 0 else { throw POSIXError(.EAGAIN) }
        self.child = child
        let deadline = ContinuousClock.now + .seconds(10)
        while try status["Seccomp"] != "2" {
            guard ContinuousClock.now < deadline else { throw POSIXError(.ETIMEDOUT) }
            usleep(2_000)
        }
    }

    deinit {
        // It ends by itself, too, when there is nothing to read.
        close(child.input)
        close(child.output)
        kill(child.pid, SIGKILL)
        waitpid(child.pid, nil, 0)
    }

    /// /proc/PID/status, field by field.
    var status: [String: String] {
        get throws {
            let lines = try file("status").split(separator: "\n").map { $0.split(separator: ":", maxSplits: 1) }
            return Dictionary(
                lines.filter { $0.count == 2 }.map { (String($0[0]), $0[1].trimmingCharacters(in: .whitespaces)) },
                uniquingKeysWith: { first, _ in first })
        }
    }

    /// What its descriptors are.
    var descriptors: [String: String] {
        get throws {
            let folder = "/proc/\(child.pid)/fd"
            // Looking into a process of somebody else takes CAP_SYS_PTRACE.
            return try UnitRights.withEverything {
                try Dictionary(
                    uniqueKeysWithValues: FileManager.default.contentsOfDirectory(atPath: folder).map {
                        ($0, try FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)"))
                    })
            }
        }
    }

    func file(_ name: String) throws -> String {
        try UnitRights.withEverything { try String(contentsOfFile: "/proc/\(child.pid)/\(name)", encoding: .utf8) }
    }
}
