// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Testing

/// The installed hooks/qemu does a guest no harm, whatever the binary behind it does.
@Suite struct HookScriptTests {
    private static let known = ["prepare", "start", "started", "stopped", "release", "migrate", "restore", "reconnect", "attach"]

    @Test(arguments: known)
    func itHandsOverEverythingAndPrintsNothing(_ operation: String) async throws {
        try await InstalledHook.with("cat >input; printf '<%s>' \"$@\" >arguments; echo output") { hook async throws in
            let result = try await hook.call(["web1", operation, "begin", "-"], input: "<domain>\n</domain>\n")
            #expect(result.status == 0)
            #expect(result.output.isEmpty)
            #expect(try hook.file("arguments") == "<hook><--><web1><\(operation)><begin><->")
            #expect(try hook.file("input") == "<domain>\n</domain>\n")
        }
    }

    @Test(arguments: ["--help", "-x", "$(id)", "`id`", "a b", "*", "two\nlines", "\u{1b}[31m", "'; touch harm; '", ""])
    func aNameIsNeverMoreThanAName(_ name: String) async throws {
        try await InstalledHook.with("printf '<%s>' \"$@\" >arguments") { hook async throws in
            #expect(try await hook.call([name, "start", "begin", "-"]).status == 0)
            #expect(try hook.file("arguments") == "<hook><--><\(name)><start><begin><->")
            #expect(!hook.exists("harm"))
        }
    }

    @Test(arguments: ["", "upgrade", "START", "start ", "--help"])
    func anUnknownOperationIsIgnored(_ operation: String) async throws {
        try await InstalledHook.with("touch called; exit 10") { hook async throws in
            #expect(try await hook.call(["web1", operation, "begin", "-"]).status == 0)
            #expect(!hook.exists("called"))
        }
    }

    @Test func callsWithoutArgumentsAreIgnored() async throws {
        try await InstalledHook.with("touch called; exit 10") { hook async throws in
            #expect(try await hook.call([]).status == 0)
            #expect(try await hook.call(["web1"]).status == 0)
            #expect(!hook.exists("called"))
        }
    }

    @Test(arguments: known)
    func onlyTenAndOnlyBeforeTheGuestRunsIsARefusal(_ operation: String) async throws {
        for code in [1, 2, 3, 9, 10, 11, 64, 78, 124, 125, 126, 127, 137, 255] {
            try await InstalledHook.with("exit \(code)") { hook async throws in
                let refused = code == 10 && ["prepare", "start"].contains(operation)
                #expect(try await hook.call(["web1", operation, "begin", "-"]).status == (refused ? 10 : 0))
            }
        }
    }

    @Test func aRefusalBringsItsReason() async throws {
        try await InstalledHook.with("echo 'the tap ids: no such destination' >&2; exit 10") { hook async throws in
            let result = try await hook.call(["web1", "start", "begin", "-"])
            #expect(result.status == 10)
            #expect(result.errorText == "the tap ids: no such destination")
        }
    }

    @Test(arguments: ["SEGV", "ABRT", "KILL", "TERM", "PIPE"])
    func aCrashIsNoRefusal(_ signal: String) async throws {
        try await InstalledHook.with("kill -\(signal) $$") { hook async throws in
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
        }
    }

    @Test(arguments: [
        "exec sleep 60", "trap '' TERM; sleep 60; sleep 60", "while :; do :; done", "sleep 60 & exit 0", "setsid sleep 2 & exit 0",
    ])
    func aBinaryThatDoesNotEndIsEnded(_ program: String) async throws {
        try await InstalledHook.with(program) { hook async throws in
            try hook.replace("limit=15", "limit=1")
            let start = ContinuousClock.now
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
            #expect(ContinuousClock.now - start < .seconds(4))
            // Whoever lived on with the hook's standard input would keep libvirt waiting.
            try await eventually("the binary is gone", within: .seconds(1)) { hook.processes.isEmpty }
        }
    }

    @Test func itsOwnOutputCannotFillAnythingUp() async throws {
        try await InstalledHook.with("head -c 3000000000 /dev/zero; echo done >finished") { hook async throws in
            let result = try await hook.call(["web1", "migrate", "begin", "-"])
            #expect(result.status == 0)
            #expect(result.output.isEmpty)
            #expect(hook.exists("finished"))
        }
        try await InstalledHook.with("head -c 3000000000 /dev/zero >&2") { hook async throws in
            let result = try await hook.call(["web1", "start", "begin", "-"])
            #expect(result.status == 0)
            #expect(result.errors.count <= 4000 + 200)
        }
    }

    @Test func inputThatNobodyReadsIsNoHindrance() async throws {
        try await InstalledHook.with("exit 0") { hook async throws in
            let result = try await hook.call(["web1", "start", "begin", "-"], input: String(repeating: "x", count: 10_000_000))
            #expect(result.status == 0)
        }
    }

    @Test func withoutItsBinaryItIsQuiet() async throws {
        try await InstalledHook.with("exit 10") { hook async throws in
            for change in ["chmod -x virt-tap", "rm virt-tap", "mkdir virt-tap"] {
                try await hook.shell(change)
                let result = try await hook.call(["web1", "start", "begin", "-"])
                #expect(result.status == 0 && result.output.isEmpty && result.errors.isEmpty)
            }
        }
    }

    @Test func aBinaryThatCannotRunIsNoRefusal() async throws {
        try await InstalledHook.with("exit 10") { hook async throws in
            try await hook.shell("printf 'no program' >virt-tap; chmod +x virt-tap")
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
            try await hook.shell("printf '#!/no/such/interpreter\\n' >virt-tap")
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
        }
    }

    @Test func withoutTimeoutItDoesNotRunTheBinary() async throws {
        try await InstalledHook.with("touch called; exit 10") { hook async throws in
            try hook.replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PATH=/nowhere")
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
            #expect(!hook.exists("called"))
        }
    }

    @Test func theEnvironmentCannotRedirectIt() async throws {
        try await InstalledHook.with("touch called") { hook async throws in
            #expect(
                try await hook.call(["web1", "start", "begin", "-"], environment: ["binary": "/bin/false", "PATH": "/nowhere"]).status == 0)
            #expect(hook.exists("called"))
        }
    }
}
