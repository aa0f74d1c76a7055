// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Dataplane
import Foundation

/// What a tapped packet costs: runs as root in namespaces of its own, which `scripts/bench-tap` makes.
@main
struct BenchTap: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-tap", abstract: "Prints what a tapped packet costs. scripts/bench-tap runs it.")

    enum Part: String, CaseIterable, ExpressibleByArgument {
        /// Frames through a bridge, with a tap or a peer of it in between.
        case path
        /// Filters by themselves.
        case filters
        /// TCP from guest to guest.
        case guests
    }

    @Option(help: ArgumentHelp("Only these parts.", valueName: "part,…"), transform: parts)
    var parts = Part.allCases

    @Option(help: ArgumentHelp("Only these variants of the path.", valueName: "name,…"), transform: words)
    var variants: [String] = []

    @Option(help: ArgumentHelp("Only these sizes of frames.", valueName: "64,512,1500,64k"), transform: words)
    var sizes: [String] = []

    @Option(help: "How often each variant is measured.")
    var rounds = 40

    @Flag(help: "Few rounds of small batches: whether everything works, not what it costs.")
    var quick = false

    @Option(help: "How many frames are one sample; of GSO packets a tenth as many.")
    var batch: Int?

    @Option(help: "The processor that frames are written on.")
    var processor: Int?

    @Option(help: "The filters in C, compiled: filters.bpf.o.")
    var filters: String?

    @Flag(help: "Through Open vSwitch as well.")
    var ovs = false

    @Flag(help: "This machine's clock counts instructions, as that of an emulator can: figures are shown as such.")
    var instructions = false

    @Option(help: "Where everything goes as JSON.")
    var json: String?

    @Option(help: "Where the plot goes as SVG.")
    var plot: String?

    private static func words(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

    private static func parts(_ text: String) throws -> [Part] {
        try words(text).map {
            guard let part = Part(rawValue: $0) else { throw ValidationError("\($0) is none of \(Part.allCases.map(\.rawValue))") }
            return part
        }
    }

    func run() throws {
        let bpffs = "/sys/fs/bpf/bench"
        try FileManager.default.createDirectory(atPath: bpffs, withIntermediateDirectories: false)
        let dataplane = KernelDataplane(bpffs: bpffs)
        let clock = try ProcessorClock(processor: processor)
        var report = Report(
            machine: .current(), unit: instructions ? .instructions : .nanoseconds, deferredWorkIsSeen: clock.seesDeferredWork)
        let rounds = quick ? min(rounds, 3) : rounds
        let path = try BridgePath()
        if parts.contains(.path) {
            let catalogue = try VariantCatalogue(dataplane).all
            try check(catalogue + (ovs ? SwitchMirror.variants : []))
            report.paths += try measure(path, catalogue, clock, rounds)
            if ovs { report.paths += try measure(SwitchPath(), SwitchMirror.variants + catalogue, clock, rounds) }
        }
        if parts.contains(.filters), let filters {
            let peers = try PeerObject(filters)
            let race = FilterRace(peers: peers, rounds: rounds, repeats: instructions ? 50_000 : quick ? 100_000 : 1_000_000)
            Self.say("filters by themselves")
            report.filters = try FilterCase.all.flatMap { try race.run($0) }
            Self.say("filters on a path")
            let sampler = Sampler(path: path, clock: clock)
            let chain = PathBenchmark(sampler: sampler, rounds: rounds)
            report.chains = try chain.measure(
                FilterChain.variants(FilterCase.all, peers), TestFrame.all[0], batch: batch ?? (quick ? 500 : 5_000))
        }
        if parts.contains(.guests) {
            Self.say("guest to guest")
            // Guests and relays need every processor.
            try clock.unpin()
            report.guests = try GuestBenchmark().measure(GuestVariant.all(dataplane), rounds: min(rounds, 7), seconds: 1)
        }
        let text = TextReport(report).text
        print(text)
        if let json { try report.json().write(to: URL(fileURLWithPath: json)) }
        if let plot { try PlotWriter(report, path: BridgePath.name).svg().write(toFile: plot, atomically: true, encoding: .utf8) }
    }

    /// A run takes minutes.
    private static func say(_ what: String) { FileHandle.standardError.write(Data("bench-tap: \(what)\n".utf8)) }

    private func check(_ catalogue: [Variant]) throws {
        let names = catalogue.map(\.name)
        let unknown = variants.filter { !names.contains($0) }
        guard unknown.isEmpty else { throw ValidationError("no such variant: \(unknown); there are \(names)") }
    }

    private func measure(_ path: any ForwardingPath, _ catalogue: [Variant], _ clock: ProcessorClock, _ rounds: Int) throws
        -> [VariantResult]
    {
        let chosen = catalogue.filter { variants.isEmpty || variants.contains($0.name) }
        let frames = TestFrame.all.filter { sizes.isEmpty || sizes.contains($0.name) }
        let benchmark = PathBenchmark(sampler: Sampler(path: path, clock: clock), rounds: rounds)
        return try frames.flatMap { frame in
            Self.say("\(path.title), \(frame.label)")
            return try benchmark.measure(
                chosen, frame, batch: batch.map { frame.isLarge ? $0 / 10 : $0 } ?? (quick ? frame.batch / 10 : frame.batch))
        }
    }
}
