// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import TapSystem
import Testing

@testable import FilterCompiler

@Suite("A child's end comes, and what it said is not believed")
struct ChildProcessTests {
    private func run(
        _ script: String, time: Duration = .seconds(10), processor: Double = .infinity, maximum: Int = 1_000
    ) async -> ChildEnd {
        await run(["/bin/sh", "-c", script], time: time, processor: processor, maximum: maximum)
    }

    private func run(
        _ command: [String], time: Duration = .seconds(10), processor: Double = .infinity, maximum: Int = 1_000
    ) async -> ChildEnd {
        let child = ChildProcess(
            command: command, input: Array("tcp".utf8), time: time, processorSeconds: processor, maximumOutput: maximum)
        return await BlockingThread.run { child.run() }!
    }

    private func failure(_ script: String) async -> Failure? {
        do throws(Failure) {
            _ = try await FilterCompiler(command: ["/bin/sh", "-c", script]).compile("tcp")
            return nil
        } catch {
            return error
        }
    }

    @Test func itGetsTheExpressionAndIsHeard() async {
        let end = await run("cat; exit 3")
        #expect(end.cause == .exited(3) && end.output == Array("tcp".utf8))
    }

    @Test(
        "It is killed and reaped when its time is up",
        arguments: ["echo $$; exec sleep 60", "echo $$; exec >&-; exec sleep 60", "echo $$; trap '' TERM; while :; do :; done"])
    func deadline(_ script: String) async throws {
        let start = ContinuousClock.now
        let end = await run(script, time: .milliseconds(300))
        #expect(end.cause == .outOfTime && ContinuousClock.now - start < .seconds(30))
        let pid = try #require(pid_t(String(decoding: end.output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(kill(pid, 0) == -1 && errno == ESRCH)
    }

    @Test func itIsKilledWhenItHasUsedItsShare() async {
        let end = await run("while :; do :; done", processor: 0.2)
        #expect(end.cause == .outOfTime && end.processorSeconds > 0.15 && end.processorSeconds < 1)
    }

    @Test func itIsKilledWhenItWritesTooMuch() async {
        let end = await run("exec yes")
        #expect(end.cause == .wroteTooMuch && end.output.count < 100_000)
    }

    @Test func itHasNoEnvironmentAndNoDescriptorsOfOurs() async {
        let opened = open("/dev/null", O_RDONLY)
        defer { close(opened) }
        async let cat = run(["/bin/cat", "/proc/self/environ"])
        #expect(await cat.output.isEmpty)
        #expect(String(decoding: await run("echo /proc/$$/fd/*").output, as: UTF8.self).split(separator: " ").count <= 4)
    }

    @Test func oneThatCannotBeStartedIsTheHostsTrouble() async {
        do throws(Failure) {
            _ = try await FilterCompiler(command: ["/nonexistent/program"]).compile("tcp")
            Issue.record("compiled")
        } catch {
            #expect(error.reason == .attachFailed && error.message.contains("No such file") && FilterCompiler.isOfHost(error))
        }
    }

    @Test(
        "Answers that no child of ours gives",
        arguments: [
            ("", "no answer"), ("echo hello", "no answer"), ("exit 3", "exited with 3"), ("kill -SEGV $$", "signal 11"),
            ("yes", "compiles to more"),
            ("printf 'virt-tap-filter 1\\nlive\\nprogram 0\\nend\\n'", "cannot be carried out"),
            ("printf 'virt-tap-filter 1\\nlive\\nprogram 2\\n6\\nend\\n'", "no answer"),
            ("printf 'virt-tap-filter 1\\nlive\\nprogram 1\\n6\\n'", "no answer"),
            ("printf 'virt-tap-filter 2\\nlive\\nprogram 1\\n6\\nend\\n'", "no answer"),
            ("printf 'virt-tap-filter 1\\nlive\\nprogram 1\\n66666666666666666\\nend\\n'", "no answer"),
            ("printf 'virt-tap-filter 1\\nlive\\nrefused a\\nb\\nend\\n'", "no answer"),
        ])
    func lies(_ script: String, _ words: String) async {
        let failure = await failure(script)
        #expect(failure?.reason == .invalidFilter && failure?.message.contains(words) == true, "\(failure?.description ?? "believed")")
    }

    @Test(arguments: [
        ChildAnswer(handle: .live, content: .program([6, 0xFFFF_FFFF_FFFF_FFFF])),
        ChildAnswer(handle: .dead(-8, "no permission: really"), content: .refused("syntax error")),
        ChildAnswer(handle: .dead(-1, ""), content: .broken(errno: 1, step: "becoming nobody")),
        ChildAnswer(handle: .live, content: .refused("")),
    ])
    func answersComeThrough(_ answer: ChildAnswer) { #expect(ChildAnswer(Array(answer.text.utf8)) == answer) }

    @Test func theCacheForgetsWhatWasNotAskedForTheLongest() {
        var cache = FilterCache(capacity: 2)
        for name in ["a", "b"] { cache[name] = .success(CompiledFilter(expression: name, instructions: [])) }
        _ = cache["a"]
        cache["c"] = .failure(Failure(.invalidFilter, ""))
        #expect(cache["b"] == nil)
        #expect(cache["a"] != nil)
        #expect(cache["c"] != nil)
    }
}
