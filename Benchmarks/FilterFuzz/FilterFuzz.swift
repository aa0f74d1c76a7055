// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Foundation
import PacketFilterTestSupport

/// Translated filters in the kernel (BPF_PROG_TEST_RUN) against `pcap_offline_filter`, by the million.
@main
struct FilterFuzz: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fuzz-filter",
        abstract: "Compare translated filters with libpcap's interpreter; exit 1 if any answer differs. Needs CAP_BPF and CAP_NET_ADMIN.")

    @Option(help: "Decides the programs and frames; without one it takes one, and prints it.")
    var seed: UInt64?

    @Option(help: "Pairs of a program and a frame, at least.")
    var pairs = 10_000_000

    @Option(help: "Threads; 0 is one a processor.")
    var threads = 0

    @Flag(help: "Only the expressions, no random programs.")
    var expressionsOnly = false

    @Flag(help: "Compare nothing: print what filters become, and how long a chain of hosts may be.")
    var sizes = false

    @Option(help: "With --sizes: another expression.")
    var expression: [String] = []

    func run() throws {
        if sizes { return try Sizes.printTable(expression) }
        let seed = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
        print("seed \(seed), \(Expressions.all.count) expressions, \(SampleFrames.all.count) frames by hand")
        let begin = Date()
        let campaign = Campaign(seed: seed, pairs: pairs, expressionsOnly: expressionsOnly)
        let count = threads > 0 ? threads : ProcessInfo.processInfo.activeProcessorCount
        DispatchQueue.concurrentPerform(iterations: count) { _ in campaign.work() }
        let seconds = Date().timeIntervalSince(begin)
        let tally = campaign.tally
        print(
            "\(tally.pairs) pairs of \(tally.programs) programs in \(Int(seconds)) s (\(Int(Double(tally.pairs) / max(seconds, 0.001))) a second): "
                + "\(tally.matches) matched; libpcap's interpreter is known to differ from the kernel in \(tally.known); "
                + "\(tally.refused) programs refused; \(tally.differences) differ (seed \(seed))")
        if tally.differences > 0 || tally.refused > 0 { throw ExitCode(1) }
    }
}
