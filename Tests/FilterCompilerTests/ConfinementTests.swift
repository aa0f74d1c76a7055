// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Foundation
import Testing

@testable import FilterCompiler

@Suite("What a child can do by the time it reads the expression")
struct ConfinementTests {
    @Test("It is nobody, has no capabilities and gets none", .enabled(if: BuiltProgram.isRoot))
    func privileges() throws {
        let child = try WaitingChild()
        let status = try child.status
        #expect(status["Uid"]?.split(separator: "\t") == Array(repeating: "65534", count: 4))
        #expect(status["Gid"]?.split(separator: "\t") == Array(repeating: "65534", count: 4))
        #expect(status["Groups"] == "")
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] { #expect(status[set] == "0000000000000000", "\(set)") }
        #expect(status["NoNewPrivs"] == "1" && status["Threads"] == "1")
        // Not to be read or traced by others of that name.
        var about = stat()
        #expect(stat("/proc/\(child.child.pid)/maps", &about) == 0 && about.st_uid == 0)
    }

    @Test("It has three descriptors and no socket, not even by a mapping", .enabled(if: BuiltProgram.isRoot))
    func descriptors() throws {
        let child = try WaitingChild()
        let descriptors = try child.descriptors
        #expect(descriptors.keys.sorted() == ["0", "1", "2"])
        #expect(
            descriptors["2"] == "/dev/null" && descriptors["0"]?.hasPrefix("pipe:") == true && descriptors["1"]?.hasPrefix("pipe:") == true)
        #expect(try !child.file("maps").contains("socket:"))
        #expect(try child.file("environ").isEmpty)
        #expect(getpgid(child.child.pid) == child.child.pid)
    }

    @Test("Its parent can end it, with the capabilities of the unit", .enabled(if: BuiltProgram.isRoot))
    func isEnded() throws {
        let child = try WaitingChild()
        #expect(kill(child.child.pid, SIGKILL) == 0)
        var info = siginfo_t()
        #expect(waitid(P_PID, id_t(child.child.pid), &info, Int32(WEXITED | WNOWAIT)) == 0 && info.si_code == CLD_KILLED)
    }

    @Test("It has limits", .enabled(if: BuiltProgram.isRoot))
    func limits() throws {
        let child = try WaitingChild()
        let lines = try child.file("limits").split(separator: "\n")
        func limit(_ name: String) -> [Substring] {
            lines.first { $0.hasPrefix(name) }?.dropFirst(name.count).split(separator: " ").prefix(2).map { $0 } ?? []
        }
        #expect(limit("Max cpu time") == ["2", "3"])
        for name in ["Max file size", "Max core file size", "Max processes", "Max locked memory"] {
            #expect(limit(name) == ["0", "0"], "\(name)")
        }
        #expect(limit("Max open files") == ["16", "16"])
        let memory = try #require(limit("Max address space").last.flatMap { Int($0) })
        #expect(memory > ChildLimits.memory && memory < ChildLimits.memory + 1 << 30)
    }

    @Test("It opens no socket, starts nothing, and writes to no file")
    func calls() async {
        await #expect(processExitsWith: .success) { _exit(ConfinedCalls.firstPermitted()) }
    }
}
