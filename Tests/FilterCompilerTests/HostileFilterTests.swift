// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Synchronization
import TapModel
import TestSupport
import Testing

@testable import FilterCompiler

@Suite("Filters that were built to do harm", .serialized)
struct HostileFilterTests {
    /// Terms until the expression is full.
    private static func full(of term: (Int) -> String, joined: String = " or ") -> String {
        var text = term(0)
        for number in 1... {
            let next = joined + term(number)
            if text.utf8.count + next.utf8.count > Tap.maximumFilterLength { break }
            text += next
        }
        return text
    }

    /// Both tries, and starting them on a machine that is busy.
    private static let longest: Duration = ChildLimits.time + ChildLimits.time + Duration.seconds(2)

    private static let slow = full { "portrange \($0 + 1)-\($0 + 3)" }

    private static func many(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

    private static let deepOnes: [String] = {
        var all = [many("(", 2_000) + "tcp" + many(")", 2_000), many("(", 4_096), many("not ", 1_000) + "tcp"]
        all += [many("ip[", 1_300) + "0", "ip[" + many("1+", 2_000) + "1]=0", "ip[0]=" + many("-", 4_000) + "1"]
        all += [many("vlan and ", 400) + "tcp", many("mpls and ", 400) + "tcp", many("!", 4_000) + "tcp"]
        all += [many("\u{FF}", 1_000), many("a", 4_096), "tcp" + many(";", 10)]
        all += ["ip[4294967295]=1", "ip[0:4]/0=1", "ip[0]<<33=1", "port 99999999999999999999"]
        return all
    }()

    private func outcome(
        _ expression: String, _ compiler: FilterCompiler = FilterCompiler(command: BuiltProgram.child), then end: @Sendable () -> Void = {}
    ) async -> Result<CompiledFilter, Failure> {
        defer { end() }
        do throws(Failure) {
            return .success(try await compiler.compile(expression))
        } catch {
            return .failure(error)
        }
    }

    @Test("As many hosts as there is room for are compiled")
    func hosts() async {
        let expression = Self.full { "host 10.1.\($0 / 250).\($0 % 250)" }
        guard case .success(let filter) = await outcome(expression) else { Issue.record("not compiled"); return }
        #expect(filter.instructions.count > 500)
    }

    @Test("One that takes a minute is ended, says why, and keeps nobody waiting")
    func slow() async {
        let compiler = FilterCompiler(command: BuiltProgram.child)
        let start = ContinuousClock.now
        async let slow = outcome(Self.slow, compiler)
        let isOver = Mutex(false)
        async let second = outcome(Self.slow + " ", compiler) { isOver.withLock { $0 = true } }
        try? await Task.sleep(for: .milliseconds(700))
        for expression in ["tcp", "udp"] {
            guard case .success = await outcome(expression, compiler) else { Issue.record("not compiled"); continue }
        }
        // Which takes seconds, but they are those of a machine that may be busy.
        #expect(!isOver.withLock { $0 })
        for result in await [slow, second] {
            guard case .failure(let failure) = result else { Issue.record("compiled"); continue }
            #expect(failure.reason == .invalidFilter && failure.message.contains("takes too long to compile"), "\(failure)")
        }
        #expect(ContinuousClock.now - start < Self.longest + Self.longest)
    }

    @Test(
        "Depth, and what is no expression at all, ends in words or in a filter",
        arguments: deepOnes)
    func deep(_ expression: String) async {
        let start = ContinuousClock.now
        switch await outcome(expression) {
        case .success(let filter): #expect(!filter.instructions.isEmpty)
        case .failure(let failure): #expect(!FilterCompiler.isOfHost(failure) && !failure.message.isEmpty, "\(failure)")
        }
        #expect(ContinuousClock.now - start < Self.longest)
    }

    @Test("Whatever words there are, in whatever order", arguments: 0..<24)
    func random(_ seed: UInt64) async {
        let words = [
            "tcp", "udp", "ip", "ip6", "host", "net", "port", "and", "or", "not", "(", ")", "192.0.2.1", "2001:db8::/32", "443", "[", "]",
            "=",
            "vlan", "ether", "proto", "<", "0", "&", "len", "greater", "broadcast", "multicast", "\\tcp", "\"", "'", "\u{1F980}", "/", "-",
            "src",
        ]
        var generator = SeededGenerator(seed: seed)
        let expression = (0..<Int.random(in: 1...12, using: &generator)).map { _ in words.randomElement(using: &generator)! }
            .joined(separator: " ")
        if case .failure(let failure) = await outcome(expression, FilterCompiler(command: BuiltProgram.child, requiresTags: false)) {
            #expect(failure.reason == .invalidFilter, "\(expression): \(failure)")
        }
    }
}
