// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport
import Testing

/// The installed hooks/qemu does a guest no harm, whatever the binary behind it does.
@Suite struct HookScriptTests {
    /// Operations at which virt-tap has something to do.
    private static let known = ["start", "started", "stopped", "release", "reconnect", "attach"]

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

    /// What a later libvirt has, and where virt-tap has nothing to do.
    @Test(arguments: ["", "upgrade", "START", "start ", "--help", "prepare", "migrate", "restore"])
    func anyOtherOperationIsIgnored(_ operation: String) async throws {
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
                let refused = code == 10 && operation == "start"
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
            try await hook.replace("limit=15", "limit=1")
            let start = ContinuousClock.now
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
            #expect(ContinuousClock.now - start < .seconds(30))
            // Whoever lived on with the hook's standard input would keep libvirt waiting.
            try await eventually("the binary is gone", within: .seconds(30)) { hook.processes.isEmpty }
        }
    }

    /// One wait, and not one for each call: a guest's start and stop make five.
    @Test func afterOneTimeOutNothingWaitsAgain() async throws {
        try await InstalledHook.with("echo \"$1 $4\" >>called; exec sleep 60") { hook async throws in
            try await hook.replace("limit=15", "limit=1")
            try await hook.replace("brief=2", "brief=1")
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
            for operation in Self.known where operation != "start" {
                #expect(try await hook.call(["web1", operation, "begin", "-"]).status == 0)
            }
            #expect(try hook.file("called") == "hook start\n")
            // Of any guest; and a start only asks whether the binary runs.
            #expect(try await hook.call(["web2", "start", "begin", "-"]).status == 0)
            #expect(try hook.file("called") == "hook start\n--version \n")
            #expect(try await hook.call(["web2", "started", "begin", "-"]).status == 0)
            #expect(try hook.file("called") == "hook start\n--version \n")
        }
    }

    /// A required tap holds from the first start on at which the binary works again.
    @Test func aBinaryThatRunsAgainIsCalledAtTheNextStart() async throws {
        let program = "echo \"$1 $4\" >>called; [ ! -e hangs ] || exec sleep 60; [ \"$4\" != start ] || exit 10"
        try await InstalledHook.with(program) { hook async throws in
            try await hook.replace("limit=15", "limit=1")
            try await hook.shell("touch hangs")
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 0)
            try await hook.shell("rm hangs called")
            #expect(try await hook.call(["web1", "stopped", "end", "-"]).status == 0)
            #expect(!hook.exists("called"))
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 10)
            // And the time-out is forgotten.
            #expect(try await hook.call(["web1", "stopped", "end", "-"]).status == 0)
            #expect(try hook.file("called") == "--version \nhook start\nhook stopped\n")
        }
    }

    /// As on a busy host: a required tap holds all the same, and nothing else waits again.
    @Test(arguments: known.filter { $0 != "start" })
    func aCallThatOnlyTellsAndTakesTooLongTakesNothingFromAStart(_ operation: String) async throws {
        let program = "echo \"$1 $4\" >>called; [ ! -e hangs ] || exec sleep 60; [ \"$4\" != start ] || exit 10"
        try await InstalledHook.with(program) { hook async throws in
            try await hook.replace("brief=2", "brief=1")
            try await hook.shell("touch hangs")
            #expect(try await hook.call(["web1", operation, "begin", "-"]).status == 0)
            #expect(try await hook.call(["web2", "release", "end", "-"]).status == 0)
            #expect(try hook.file("called") == "hook \(operation)\n")
            try await hook.shell("rm hangs called")
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 10)
            #expect(try await hook.call(["web1", "stopped", "end", "-"]).status == 0)
            #expect(try hook.file("called") == "hook start\nhook stopped\n")
        }
    }

    /// One guest whose call takes too long is none of the others' business.
    @Test func whoRunsAndStillTakesTooLongDelaysOnlyItsOwnStarts() async throws {
        let program = "echo \"$3 $4\" >>called; [ \"$3\" != slow ] || exec sleep 60; [ \"$4\" != start ] || exit 10"
        try await InstalledHook.with(program) { hook async throws in
            try await hook.replace("limit=15", "limit=1")
            #expect(try await hook.call(["slow", "start", "begin", "-"]).status == 0)
            #expect(try await hook.call(["slow", "stopped", "end", "-"]).status == 0)
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 10)
            #expect(try hook.file("called") == "slow start\n \nweb1 start\n")
        }
    }

    /// What is remembered never makes a call fail, whatever stands there.
    @Test(arguments: [
        "mkdir -p memory/hook-timed-out", "mkdir memory; echo 08 >memory/hook-timed-out", "mkdir memory; : >memory/hook-timed-out",
        "mkdir memory; echo '$(touch harm) a[1]' >memory/hook-timed-out", "mkdir memory; echo 99999999999999999999 >memory/hook-timed-out",
        "mkdir memory; echo 999999999999 >memory/hook-timed-out", "mkdir memory; printf '1 2\n3' >memory/hook-timed-out",
        "mkdir memory; ln -s ../elsewhere memory/hook-timed-out", "touch memory", "ln -s /nowhere/at/all memory",
        "mkdir -p memory/hook-was-slow", "mkdir memory; ln -s ../elsewhere memory/hook-was-slow",
    ])
    func whatIsRememberedDoesNoHarm(_ preparation: String) async throws {
        try await InstalledHook.with("touch called; [ ! -e hangs ] || exec sleep 60; exit 10") { hook async throws in
            try await hook.replace("limit=15", "limit=1")
            try await hook.replace("brief=2", "brief=1")
            try await hook.shell(preparation)
            #expect(try await hook.call(["web1", "reconnect", "begin", "-"]).status == 0)
            #expect(hook.exists("called"))
            #expect(try await hook.call(["web1", "start", "begin", "-"]).status == 10)
            try await hook.shell("touch hangs; rm -rf memory; \(preparation)")
            for operation in ["start", "started", "reconnect"] {
                let result = try await hook.call(["web1", operation, "begin", "-"])
                #expect(result.status == 0 && result.output.isEmpty)
            }
            #expect(!hook.exists("harm") && !hook.exists("elsewhere"))
        }
    }

    @Test func itsOwnOutputCannotFillAnythingUp() async throws {
        try await InstalledHook.with("head -c 200000000 /dev/zero; echo done >finished") { hook async throws in
            let result = try await hook.call(["web1", "reconnect", "begin", "-"])
            #expect(result.status == 0)
            #expect(result.output.isEmpty)
            #expect(hook.exists("finished"))
        }
        try await InstalledHook.with("head -c 200000000 /dev/zero >&2") { hook async throws in
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
            try await hook.replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PATH=/nowhere")
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
