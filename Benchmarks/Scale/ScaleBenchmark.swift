// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import DataplaneTestSupport
import Foundation

/// What a host with a thousand tapped interfaces costs: runs as root in a private hypervisor, which `scripts/bench` makes.
///
/// The domains are those of libvirt's test driver inside a real libvirtd, so that metadata, events and XML take the way
/// that they always take; the devices are real tap devices, held open as QEMU holds them.
@main
struct ScaleBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-scale", abstract: "Prints what many tapped interfaces cost. scripts/bench runs it.")

    @Option(help: "How many domains are tapped, each with one interface.")
    var domains = 1_000

    @Option(help: "The folder of virt-tapd and virt-tap.")
    var programs: String

    @Option(help: "Where the figures go as JSON.")
    var json: String?

    @Option(help: "How many metadata changes the storm has.")
    var storm = 10_000

    /// Domains that have no tap at first: each measurement of a single change uses one of them.
    private static let trials = 40

    func run() throws {
        var figures = Figures()
        let fleet = try Fleet(count: domains + Self.trials)
        let daemon = DaemonProcess(programs: programs)
        defer { daemon.stop() }

        try measurePeers(fleet, &figures)
        try fleet.define(tapped: domains)
        try measureCold(fleet, daemon, &figures)
        try measureIdle(daemon, &figures)
        try measureAdoption(daemon, &figures)
        try measureChange(fleet, &figures)
        try measureImpatience(fleet, &figures)
        try measureStorm(fleet, daemon, &figures)
        try measureReload(daemon, &figures)

        figures.print()
        if let json { try figures.json().write(to: URL(fileURLWithPath: json)) }
    }

    // MARK: - What others cost

    /// What the kernel itself takes for as many attachments, and what a script with tc takes.
    private func measurePeers(_ fleet: Fleet, _ figures: inout Figures) throws {
        let probe = RTNLProbe()
        figures.add("another user of RTNL waits, idle host", try probe.during { Thread.sleep(forTimeInterval: 2) })
        let tapped = Array(fleet.devices.prefix(domains))
        let bare = BareKernel()
        var seconds = 0.0
        let waits = try probe.during { seconds = try elapsed { try bare.attach(to: tapped) } }
        figures.add("TCX attachments of an empty program, nothing else", seconds, .seconds, peer: "kernel")
        figures.add("… another user of RTNL waits", waits)
        bare.detach()
        let script = TcScript(devices: tapped.map(\.name))
        let tcWaits = try probe.during { seconds = try elapsed { try script.run() } }
        figures.add("the same mirrored by `tc -batch`, clsact and u32", seconds, .seconds, comparedTo: "kernel")
        figures.add("… another user of RTNL waits", tcWaits)
        try script.undo()
    }

    // MARK: - The daemon

    private func measureCold(_ fleet: Fleet, _ daemon: DaemonProcess, _ figures: inout Figures) throws {
        let probe = RTNLProbe()
        let pins = Pins()
        var seconds = 0.0
        let waits = try probe.during {
            seconds = try elapsed {
                try daemon.start()
                try wait("\(domains) attachments", within: 600) { pins.complete() == domains }
            }
        }
        try daemon.requireActive(domains)
        figures.add("cold attach of \(domains) interfaces, both directions", seconds, .seconds, comparedTo: "kernel")
        figures.add("… another user of RTNL waits", waits)
        figures.add("… processor time of the daemon", daemon.processorTime, .seconds)
        figures.add("memory of the daemon (resident)", daemon.memory("VmRSS"), .megabytes)
        figures.add("… at most so far", daemon.memory("VmHWM"), .megabytes)
        figures.add("… of it mapped files, the program's own", daemon.memory("RssFile"), .megabytes)
    }

    private func measureIdle(_ daemon: DaemonProcess, _ figures: inout Figures) throws {
        Thread.sleep(forTimeInterval: 3)
        let before = daemon.processorTime
        Thread.sleep(forTimeInterval: 20)
        figures.add("processor of the idle daemon", (daemon.processorTime - before) / 20 * 100, .percent)
        var document = 0.0
        for _ in 0..<3 { document = try elapsed { _ = try daemon.status() } }
        figures.add("`virt-tap status --json` of \(domains) taps", document, .seconds)
    }

    private func measureAdoption(_ daemon: DaemonProcess, _ figures: inout Figures) throws {
        let pins = Pins()
        let before = pins.identities()
        daemon.stop()
        let seconds = try elapsed {
            try daemon.start()
            try wait("the daemon to have read every domain", within: 60) { daemon.logSinceStart.contains("looked at every domain") }
        }
        try daemon.requireActive(domains)
        figures.add("restart until every domain is in order", seconds, .seconds)
        figures.add("… pins that changed (attached or exchanged anew)", Double(pins.identities().symmetricDifference(before).count), .count)
    }

    private func measureChange(_ fleet: Fleet, _ figures: inout Figures) throws {
        let pins = Pins()
        var placed: [Double] = []
        var exchanged: [Double] = []
        for index in domains..<(domains + Self.trials) {
            Thread.sleep(forTimeInterval: 0.1)
            let device = fleet.devices[index].index
            placed.append(
                try elapsed {
                    try fleet.set(index, to: "mon0")
                    try wait("a tap of domain \(index)", within: 10, every: 0.000_2) { pins.isComplete(device: device) }
                } * 1_000)
        }
        // Changes of one domain are merged for a second.
        Thread.sleep(forTimeInterval: 1.2)
        for index in domains..<(domains + Self.trials) {
            let device = fleet.devices[index].index
            let before = pins.spec(device: device)
            exchanged.append(
                try elapsed {
                    try fleet.set(index, to: "mon1")
                    try wait("another destination of domain \(index)", within: 10, every: 0.000_2) { pins.spec(device: device) != before }
                } * 1_000)
            Thread.sleep(forTimeInterval: 0.05)
        }
        figures.add("one new tap among them: from the metadata to both directions", Spread(placed))
        figures.add("one tap changed in place", Spread(exchanged))
    }

    /// One client that sets and removes a tap as fast as libvirt lets it.
    private func measureImpatience(_ fleet: Fleet, _ figures: inout Figures) throws {
        let probe = RTNLProbe()
        var count = 0
        let waits = try probe.during {
            let end = Date(timeIntervalSinceNow: 10)
            while Date() < end {
                try fleet.set(domains, to: count % 2 == 0 ? nil : "mon0")
                count += 1
            }
        }
        figures.add("an impatient client's changes of one domain, a second", Double(count) / 10, .count)
        figures.add("… another user of RTNL waits", waits)
    }

    private func measureStorm(_ fleet: Fleet, _ daemon: DaemonProcess, _ figures: inout Figures) throws {
        Thread.sleep(forTimeInterval: 2)
        let before = daemon.processorTime
        let sent = try elapsed {
            for number in 0..<storm {
                // The last change of each domain leaves it where it was not before, so that a change that was missed is seen.
                try fleet.set(number % domains, to: (storm - 1 - number) / domains % 2 == 0 ? "mon1" : "mon0")
            }
        }
        var settled = 0.0
        settled = try elapsed { try wait("the storm to be over", within: 300) { try daemon.destinations() == fleet.destinations } }
        figures.add("a storm of \(storm) metadata changes, until libvirt has accepted them", sent, .seconds)
        figures.add("… then until the kernel does what was asked last", settled, .seconds)
        figures.add("… processor time of the daemon", daemon.processorTime - before, .seconds)
        figures.add("… memory of the daemon at most", daemon.memory("VmHWM"), .megabytes)
    }

    private func measureReload(_ daemon: DaemonProcess, _ figures: inout Figures) throws {
        Thread.sleep(forTimeInterval: 2)
        let before = daemon.processorTime
        let times = 5
        for _ in 0..<times {
            daemon.reload()
            Thread.sleep(forTimeInterval: 2)
        }
        figures.add("one look at everything: processor time", (daemon.processorTime - before) * 1_000 / Double(times), .milliseconds)
    }
}
