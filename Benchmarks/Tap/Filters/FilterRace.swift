// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import PacketFilter

/// Filters by themselves, without a path: each is called a million times on one frame, one after the other in every round.
///
/// Running a program by BPF_PROG_TEST_RUN costs more than most filters do, so that one run is several calls; an empty filter
/// tells what running and calling cost. The time is that of this thread's processor, finer than the whole nanoseconds that
/// the kernel tells.
struct FilterRace {
    let peers: PeerObject
    let rounds: Int
    let repeats: Int

    /// How many calls of the filter one run is.
    private static let calls = 16

    func run(_ filter: FilterCase) throws -> [FilterResult] {
        var programs: [(name: FilterResult.Program, program: HandWritten)] = []
        do {
            let classic = try ClassicProgram(CompiledExpression(filter.expression).instructions)
            let words: [(FilterResult.Program, [UInt64])] = [
                (.empty, HandWritten.rejectingWords), (.translated, try FilterTranslation.translate(classic)),
                (.c, try peers.instructions(filter.peer)), (.carefulC, try peers.instructions("\(filter.peer)_careful")),
            ]
            for (name, words) in words { programs.append((name, try HandWritten.calling(words, times: Self.calls))) }
        } catch {
            return [FilterResult(expression: filter.expression, matches: true, error: "\(error)")]
        }
        var results: [FilterResult] = []
        for (frame, matches) in [(filter.matching, true), (filter.rejected, false)] {
            var result = FilterResult(expression: filter.expression, matches: matches)
            for (name, program) in programs where name != .empty {
                let answer = try Self.time(program.program, frame, repeats: 1_000).answer
                if (answer != 0) != matches { result.objection = "\(name) says \(answer)" }
            }
            for round in 0..<rounds {
                for step in programs.indices {
                    let (name, program) = programs[(step + round) % programs.count]
                    result.nanoseconds[name, default: []].append(
                        try Self.time(program.program, frame, repeats: repeats / Self.calls).nanoseconds)
                }
            }
            results.append(result)
        }
        // What answers one frame wrongly is not the filter, however fast it answers the other.
        if let objection = results.compactMap(\.objection).first {
            for index in results.indices { results[index].objection = results[index].objection ?? "on the other frame \(objection)" }
        }
        return results
    }

    private static func time(_ program: CInt, _ frame: [UInt8], repeats: Int) throws -> (nanoseconds: Double, answer: UInt32) {
        try frame.withUnsafeBytes { frame in
            var options = bpf_test_run_opts()
            options.sz = MemoryLayout<bpf_test_run_opts>.size
            options.data_in = frame.baseAddress
            options.data_size_in = UInt32(frame.count)
            options.`repeat` = CInt(repeats)
            let start = ProcessorClock.nanoseconds(CLOCK_THREAD_CPUTIME_ID)
            guard bpf_prog_test_run_opts(program, &options) == 0 else { throw BenchmarkFailure(call: "BPF_PROG_TEST_RUN") }
            let end = ProcessorClock.nanoseconds(CLOCK_THREAD_CPUTIME_ID)
            return (Double(end - start) / Double(repeats * calls), options.retval)
        }
    }
}
