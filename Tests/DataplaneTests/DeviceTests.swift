// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import Synchronization
import TapModel
import Testing

extension KernelSuite {
    @Suite("Devices")
    struct DeviceTests {
        @Test("Devices are listed with kind, master, state, addresses and drops")
        func listsDevices() throws {
            let bench = try TestBench()
            let number = bench.number
            try run("ip", "tuntap", "add", "mode", "tun", "name", "tun\(number)")
            defer { _ = try? run("ip", "link", "del", "tun\(number)") }
            try ip(
                """
                link set \(bench.destination) down
                addr add 192.0.2.1/24 dev \(bench.bridge)
                link add link peer\(number) name mvt\(number) type macvtap mode bridge

                """)
            try run("sysctl", "-qw", "net.ipv6.conf.\(bench.port).disable_ipv6=0")
            try ip("addr add fe80::1/64 dev \(bench.port)\n")
            let dataplane = KernelDataplane(bpffs: bench.bpffs)
            func device(_ name: String) throws -> HostDevice { try #require(try dataplane.devices().first { $0.name == name }) }

            let guest = try device(bench.guest.name)
            #expect(guest.kind == .tap)
            #expect(guest.index == bench.guest.index)
            #expect(guest.masterName == bench.bridge)
            #expect(guest.masterKind == "bridge")
            #expect(guest.isUp && guest.hasCarrier && !guest.hasAddress)
            let address = try String(contentsOfFile: "/sys/class/net/\(guest.name)/address", encoding: .utf8)
            #expect(guest.mac?.description == address.trimmingCharacters(in: .whitespacesAndNewlines))
            // Looked up alone it is the same, but for what takes another question.
            for name in [guest.name, "tun\(number)", "mvt\(number)", "lo", bench.destination] {
                var listed = try device(name)
                (listed.hasAddress, listed.addresses) = (false, [])
                var alone = try #require(try dataplane.device(named: name))
                alone.transmitDrops = listed.transmitDrops
                #expect(alone == listed)
            }
            #expect(try dataplane.device(named: "none\(number)") == nil)
            #expect(try device("tun\(number)").kind == .tun)
            #expect(try !device("tun\(number)").isUp)
            #expect(try device("mvt\(number)").kind == .macvtap)
            #expect(try device("lo").kind == .loopback)
            let bridge = try device(bench.bridge)
            #expect(bridge.kind == .bridge && bridge.hasAddress && bridge.masterName == nil)
            let port = try device(bench.port)
            #expect(port.kind == .other("veth"))
            #expect(!port.hasAddress, "a link-local address is not one that somebody gave it")
            #expect(try !device(bench.destination).isUp)
            let far = try device(bench.far)
            #expect(far.isUp && !far.hasCarrier)

            // Nobody reads at the guest's end, so its queue overflows.
            #expect(guest.transmitDrops == 0)
            for number in 0..<2_000 { try bench.peer.send(FrameBuilder.udp(number, toGuest: true)) }
            let drops = try device(bench.guest.name).transmitDrops
            #expect(drops > 0)
            let text = try String(contentsOfFile: "/sys/class/net/\(guest.name)/statistics/tx_dropped", encoding: .utf8)
            #expect("\(drops)\n" == text)
        }

        @Test("Whether a tap device is open is read for a device that is down, too")
        func tellsWhoIsHeld() throws {
            let bench = try TestBench()
            let dataplane = KernelDataplane(bpffs: bench.bpffs)
            func isOpen(_ name: String) throws -> Bool? {
                let listed = try #require(try dataplane.devices().first { $0.name == name })
                #expect(try dataplane.device(named: name)?.isOpen == listed.isOpen)
                #expect(listed.isOpen.map { $0 == listed.isHeld } ?? true)
                return listed.isOpen
            }
            #expect(try isOpen(bench.guest.name) == true)
            #expect(try isOpen(bench.port) == nil)
            for (name, mode) in [("one\(bench.number)", ""), ("many\(bench.number)", "multi_queue")] {
                try ip("tuntap add mode tap name \(name) \(mode)\n")
                defer { _ = try? run("ip", "link", "del", name) }
                for state in ["down", "up"] {
                    try ip("link set \(name) \(state)\n")
                    #expect(try isOpen(name) == false, "\(name) is \(state)")
                }
                guard mode.isEmpty else { continue }
                try ip("link set \(name) down\n")
                let holder = try TapDevice(name)
                #expect(try isOpen(name) == true, "\(name) is down, and held")
                withExtendedLifetime(holder) {}
            }
            // Its own address and name are as it pleases others.
            try ip("link set \(bench.guest.name) carrier off\n")
            #expect(try isOpen(bench.guest.name) == true, "it would be gone if nobody held it")
        }

        @Test("A list of many devices is whole while devices come and go")
        func listsWhileChanging() throws {
            let bench = try TestBench()
            let dataplane = KernelDataplane(bpffs: bench.bpffs)
            try ip((0..<150).map { "link add many\(bench.number)x\($0) type veth peer name more\(bench.number)x\($0)\n" }.joined())
            let churn = ChurnThread("link add flap\(bench.number) type bridge\nlink del flap\(bench.number)\n")
            // However fast this machine is: as many lists as devices that came and went beside them.
            var lists = 0
            while lists < 4 || churn.rounds < 60 {
                #expect(try dataplane.devices().count { $0.name.hasPrefix("many\(bench.number)x") } == 150)
                lists += 1
            }
            #expect(churn.stop())
            try ip((0..<150).map { "link del many\(bench.number)x\($0)\n" }.joined())
        }

        @Test("On a macvtap device the guest's directions are the other way round", arguments: Mechanism.here)
        func macvtapDirections(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let number = tapped.bench.number
            try ip(
                """
                link add low\(number) type veth peer name lowpeer\(number)
                link set low\(number) up
                link set lowpeer\(number) up
                link add link low\(number) name mvt\(number) address 52:54:00:12:34:56 type macvtap mode bridge
                link set mvt\(number) up

                """)
            defer { _ = try? run("ip", "link", "del", "low\(number)") }
            let guest = try TapDevice(macvtap: "mvt\(number)")
            let peer = try PacketSocket(on: "lowpeer\(number)")
            for direction in [TapDirection.outbound, .inbound, .both] {
                var desired = try tapped.desired(direction, tap: direction.rawValue)
                desired.key.ifindex = guest.index
                desired.interface.device = guest.name
                desired.interface.isMacvtap = true
                try tapped.dataplane.attach(desired, at: TappedBench.now)
                let outbound = FrameBuilder.udp(1)
                let inbound = FrameBuilder.udp(2, toGuest: true)
                try guest.write(outbound)
                #expect(peer.receive(1) == [outbound])
                try peer.send(inbound)
                #expect(guest.read() == inbound)
                let expected = [direction == .inbound ? nil : outbound, direction == .outbound ? nil : inbound].compactMap(\.self)
                #expect(tapped.bench.sensor.receive(expected.count) == expected)
                let counters = try tapped.counters(desired)
                #expect(
                    counters
                        == direction.directions.reduce(into: [:]) {
                            $0[$1] = DirectionCounters(copied: Counter([$1 == .outbound ? outbound : inbound]))
                        })
                try tapped.dataplane.detach(desired.key.id)
            }
        }

        @Test("The monitor notifies of new, changed and removed links and of addresses, and can be stopped")
        func monitors() async throws {
            try PrivateNamespaces.require()
            let monitor = try LinkMonitor()
            let tally = Tally()
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in monitor.changes { tally.count.wrappingAdd(1, ordering: .relaxed) }
                }
                for command in ["link add mon-x type bridge", "link set mon-x up", "addr add 192.0.2.9/24 dev mon-x", "link del mon-x"] {
                    let before = tally.count.load(ordering: .relaxed)
                    #expect(throws: Never.self) { try ip(command + "\n") }
                    for _ in 0..<200 where tally.count.load(ordering: .relaxed) == before { try? await Task.sleep(for: .milliseconds(10)) }
                    #expect(tally.count.load(ordering: .relaxed) > before, "\(command)")
                    try? await Task.sleep(for: .milliseconds(50))
                }
                // More changes than a socket's buffer holds, while nobody takes them.
                #expect(throws: Never.self) {
                    try ip(String(repeating: "link add mon-y type bridge\nlink del mon-y\n", count: 150))
                }
                let before = tally.count.load(ordering: .relaxed)
                #expect(throws: Never.self) { try ip("link add mon-z type bridge\nlink del mon-z\n") }
                for _ in 0..<200 where tally.count.load(ordering: .relaxed) == before { try? await Task.sleep(for: .milliseconds(10)) }
                #expect(tally.count.load(ordering: .relaxed) > before)
                monitor.stop()
                monitor.stop()
                // Ends only if the stream does.
                await group.waitForAll()
            }
        }
    }
}

private final class Tally: Sendable {
    let count = Atomic(0)
}

/// Runs commands of ip(8) in the background.
private final class ChurnThread: Sendable {
    private let count = Atomic(0)
    private let isWanted = Atomic(true)
    private let hasFailed = Atomic(false)
    private let end = DispatchSemaphore(value: 0)

    /// Runs these again and again until it is stopped, a few times in each call of ip(8).
    init(_ commands: String) {
        Thread.detachNewThread { [self] in
            while isWanted.load(ordering: .acquiring), !hasFailed.load(ordering: .acquiring) {
                if (try? ip(String(repeating: commands, count: 5))) == nil { hasFailed.store(true, ordering: .releasing) }
                count.add(5, ordering: .releasing)
            }
            end.signal()
        }
    }

    /// How often that was; at a failure more than anybody waits for.
    var rounds: Int { hasFailed.load(ordering: .acquiring) ? .max : count.load(ordering: .acquiring) }

    /// - Returns: whether all of them succeeded.
    func stop() -> Bool {
        isWanted.store(false, ordering: .releasing)
        end.wait()
        return !hasFailed.load(ordering: .acquiring)
    }
}
