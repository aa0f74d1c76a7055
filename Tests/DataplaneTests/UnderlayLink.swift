// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import Synchronization
import TapModel
import Testing

/// A link from this machine, 10.8.0.1 and fd08::1, to another in a network namespace of its own, 10.8.0.2 and fd08::2.
///
/// The namespace and the link go when the object does; routes, rules and neighbours on the link go with it.
final class UnderlayLink {
    let bench: TestBench
    /// The other machine's network namespace.
    let name: String
    /// This machine's end of the link.
    var device: String { bench.destination }

    init() throws {
        bench = try TestBench()
        name = "underlay\(bench.number)"
        try run("ip", "netns", "add", name)
        try ip(
            """
            link set \(bench.far) netns \(name)
            addr add 10.8.0.1/24 dev \(device)

            """)
        // Without this, the kernel waits for a second before it asks a neighbour.
        for setting in ["accept_dad", "disable_ipv6"] { try set("ipv6/conf/\(device)/\(setting)", "0") }
        // A neighbour that does not answer has failed in half a second.
        for family in ["ipv4", "ipv6"] {
            try set("\(family)/neigh/\(device)/retrans_time_ms", "100")
            try set("\(family)/neigh/\(device)/delay_first_probe_time", "1")
            try set("\(family)/neigh/\(device)/locktime", "0")
        }
        try ip("addr add fd08::1/64 dev \(device) nodad\n")
        try there("echo 0 >/proc/sys/net/ipv6/conf/\(bench.far)/disable_ipv6")
        try ipThere(
            """
            link set \(bench.far) up
            addr add 10.8.0.2/24 dev \(bench.far)
            addr add fd08::2/64 dev \(bench.far) nodad

            """)
        // The kernel gives an IPv6 address its route a moment after the device has got a carrier.
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline, try !run("ip", "-6", "route", "show", "table", "local", "fd08::1").contains("fd08::1") {
            usleep(10_000)
        }
    }

    deinit {
        NetworkNamespace(name).remove()
    }

    /// A setting below /proc/sys/net.
    func set(_ path: String, _ value: String) throws {
        try value.write(toFile: "/proc/sys/net/\(path)", atomically: false, encoding: .utf8)
    }

    /// A command of the shell on the other machine.
    @discardableResult
    func there(_ command: String) throws -> String { try run("ip", "netns", "exec", name, "sh", "-c", command) }

    /// Runs commands of ip(8) on the other machine, one per line.
    func ipThere(_ lines: String) throws { try run("ip", "-n", name, "-batch", "-", input: lines) }

    /// Reads the other machine's MAC address on that machine.
    func farMAC() throws -> MACAddress {
        let words = try run("ip", "-n", name, "-o", "link", "show", bench.far).split(separator: " ").map(String.init)
        let place = try #require(words.firstIndex(of: "link/ether"))
        return try #require(MACAddress(words[place + 1]))
    }

    /// How many packets the other machine's end has got.
    func farReceived() throws -> Int {
        let text = try there("cat /sys/class/net/\(bench.far)/statistics/rx_packets").trimmingCharacters(in: .whitespacesAndNewlines)
        return try #require(Int(text))
    }

    /// Reads this machine's neighbour entry, in the format of ip(8); empty when there is none.
    func neighbour(_ address: String) throws -> String {
        try run("ip", "neigh", "show", address, "dev", device, "nud", "all").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Sends packets of 1,428 bytes (IPv4) or 1,448 (IPv6) that may not be fragmented.
    func sendLarge(to address: String) throws {
        let send = "for i in 1 2 3; do head -c 1400 /dev/zero >&3; sleep 0.1; done"
        try run("bash", "-c", "exec 3>/dev/udp/\(address)/9; \(send)")
    }
}

/// Counts the notifications of a monitor.
final class ChangeCounter: Sendable {
    private let count: Count
    private let listener: Task<Void, Never>

    init(_ monitor: LinkMonitor) {
        let count = Count()
        self.count = count
        listener = Task { for await _ in monitor.changes { count.value.wrappingAdd(1, ordering: .relaxed) } }
    }

    func stop() { listener.cancel() }

    /// Whether the monitor notifies of a change within a second. Waits before it until no other notifications come.
    func counts(_ change: () throws -> Void) async throws -> Bool {
        var before = -1
        while before != now {
            before = now
            try await Task.sleep(for: .milliseconds(150))
        }
        try change()
        for _ in 0..<100 where now == before { try await Task.sleep(for: .milliseconds(10)) }
        return now > before
    }

    private var now: Int { count.value.load(ordering: .relaxed) }

    private final class Count: Sendable {
        let value = Atomic(0)
    }
}
