// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

extension MatrixSuite {
    /// libvirt limits what a guest receives with htb and sfq, and what it sends with an `ingress` qdisc and a policer.
    @Suite("libvirt's bandwidth limits and nwfilter")
    struct BandwidthTests {
        static let limits = [
            "--inbound 1000,2000,1024", "--outbound 500,600,256", "--inbound 3000 --outbound 700", "--inbound 0", "--outbound 0",
        ]
        static let defined =
            "<bandwidth><inbound average='1000' peak='2000' burst='1024'/><outbound average='500' peak='600' burst='256'/></bandwidth>"

        /// What limits the traffic of a device: all but a clsact qdisc with its filters, which limits nothing, and but for names
        /// that the kernel gives as it likes.
        private func state(_ device: String) throws -> [String] {
            let text = try run(
                "sh", "-c", "tc -force -batch - 2>/dev/null || :",
                input: [
                    "qdisc show dev \(device)", "class show dev \(device)", "filter show dev \(device)",
                    "filter show dev \(device) ingress",
                ]
                .joined(separator: "\n") + "\n")
            return text.split(separator: "\n").filter {
                !$0.contains("clsact") && !$0.contains("virt_tap") && !$0.hasSuffix("bpf chain 0 ")
            }.map {
                $0.replacing(/police 0x[0-9a-f]+/, with: "police").replacing(" parent ffff:", with: "").replacing(
                    /(leaf|qdisc [a-z]+) [0-9a-f]+:/
                ) { "\($0.1)" }
                .replacing(device, with: "DEVICE").trimmingCharacters(in: .whitespaces)
            }
        }

        /// Sets, changes and removes limits; what each call left.
        private func tune(_ host: MatrixLibvirtd, _ name: String, _ device: String, _ limits: [String] = Self.limits) throws -> [[String]] {
            try limits.map { words in
                try host.virsh("domiftune \(name) \(device) \(words) --live")
                return [words] + (try state(device))
            }
        }

        private func desired(_ tapped: TappedBench, _ device: String) throws -> DesiredAttachment {
            var desired = try tapped.desired()
            desired.key.ifindex = if_nametoindex(device)
            desired.interface.device = device
            return desired
        }

        /// A guest that nobody taps is the measure.
        private static let plain = Result { try BandwidthTests().untapped(.running(), "") }
        private static let limited = Result { try BandwidthTests().untapped(.running(), defined) }

        private func untapped(_ host: MatrixLibvirtd, _ extra: String) throws -> (start: [String], tuned: [[String]]) {
            let device = try host.start("plain", interface: extra)
            defer { _ = try? host.virsh("destroy plain") }
            let start = try state(device)
            let tuned = try tune(host, "plain", device)
            // Or the comparison would say nothing.
            func has(_ step: Int, _ word: String) -> Bool { tuned[step].contains { $0.contains(word) } }
            #expect(has(0, "qdisc htb") && has(1, "qdisc ingress") && has(1, "police") && has(2, "qdisc htb") && has(2, "police"))
            #expect(!has(3, "htb") && !has(4, "ingress"))
            return (start, tuned)
        }

        @Test("Limits set after a tap was placed are set, changed and removed as without it", arguments: Mechanism.possible)
        func takesLimitsLater(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let host = try MatrixLibvirtd.running()
            let reference = try Self.plain.get()
            let device = try host.start("web1")
            defer { _ = try? host.virsh("destroy web1") }
            let desired = try desired(tapped, device)
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            let start = try state(device)
            #expect(start == reference.start)
            if mechanism == .clsact {
                // Our clsact stands where libvirt's ingress qdisc would: the one thing that a tap by clsact takes away.
                let inbound = try tune(host, "web1", device, ["--inbound 1000,2000,1024", "--inbound 0"])
                #expect(inbound == [reference.tuned[0], ["--inbound 0"] + reference.start])
                let failure = #expect(throws: CommandFailure.self) { try host.virsh("domiftune web1 \(device) --outbound 500 --live") }
                #expect(failure?.description.contains("Exclusivity flag on") == true)
            } else {
                let tuned = try tune(host, "web1", device)
                #expect(tuned == reference.tuned)
            }
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            try tapped.dataplane.detach(desired.key.id)
            let after = try tune(host, "web1", device)
            #expect(after == reference.tuned)
        }

        @Test(
            "Limits of the definition stay when a tap is placed, and are changed and removed as without it", arguments: Mechanism.possible)
        func leavesDefinedLimitsAlone(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let host = try MatrixLibvirtd.running()
            let reference = try Self.limited.get()
            let device = try host.start("web1", interface: Self.defined)
            defer { _ = try? host.virsh("destroy web1") }
            let desired = try desired(tapped, device)
            if mechanism == .clsact {
                let failure = #expect(throws: Failure.self) { try tapped.dataplane.attach(desired, at: TappedBench.now) }
                #expect(failure?.reason == .qdiscConflict)
                #expect(try tapped.dataplane.attachments() == [])
            } else {
                try tapped.dataplane.attach(desired, at: TappedBench.now)
            }
            let start = try state(device)
            #expect(start == reference.start)
            let tuned = try tune(host, "web1", device)
            #expect(tuned == reference.tuned)
            // With the last limit on what the guest sends the obstacle is gone.
            if mechanism == .clsact { try tapped.dataplane.attach(desired, at: TappedBench.now) }
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            try tapped.dataplane.detach(desired.key.id)
            let end = try state(device)
            #expect(end == Array(reference.tuned[4].dropFirst()))
        }

        @Test("Beside a tap by clsact of what a guest sends limits are set, changed and removed as without it")
        func sharesTheIngressQdisc() throws {
            let tapped = try TappedBench(.clsact)
            let host = try MatrixLibvirtd.running()
            let reference = try Self.limited.get()
            let device = try host.start("web1", interface: Self.defined)
            defer { _ = try? host.virsh("destroy web1") }
            var desired = try desired(tapped, device)
            desired.options.direction = .outbound
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            func limits(_ state: [String]) -> [String] { state.filter { !$0.contains("qdisc ingress") } }
            let start = try state(device)
            #expect(start == reference.start)
            for (step, words) in Self.limits.enumerated() {
                try host.virsh("domiftune web1 \(device) \(words) --live")
                // Libvirt's new qdisc comes without our filter; the daemon sees it within a second or two.
                if try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) != true {
                    try tapped.dataplane.replace(desired, at: TappedBench.now)
                }
                #expect(try tapped.dataplane.attachment(desired.key.id)?.hooks == [.outbound: .attached(position: 0, foreignAhead: 0)])
                let now = try state(device)
                #expect(limits(now) == limits(Array(reference.tuned[step].dropFirst())), "\(words)")
            }
            try tapped.dataplane.detach(desired.key.id)
            let end = try state(device)
            #expect(end == Array(reference.tuned[4].dropFirst()))
        }

        @Test("libvirt's own filter rules stay as they are when a tap comes and goes", arguments: Mechanism.possible)
        func leavesFilterRulesAlone(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let host = try MatrixLibvirtd.running()
            try run(
                "sh", "-c", "cat >/run/filter.xml",
                input: """
                    <filter name='vt-no-spoofing' chain='mac'><rule action='return' direction='out' priority='100'>
                    <mac srcmacaddr='$MAC'/></rule><rule action='drop' direction='out' priority='500'><mac/></rule></filter>
                    """)
            try host.virsh("nwfilter-define /run/filter.xml")
            defer { _ = try? host.virsh("nwfilter-undefine vt-no-spoofing") }
            let device = try host.start("web1", interface: "<filterref filter='vt-no-spoofing'/>")
            defer { _ = try? host.virsh("destroy web1") }
            func rules() throws -> String { try run("ebtables", "-t", "nat", "-L") }
            let before = try rules()
            #expect(before.contains(device))
            let desired = try desired(tapped, device)
            try tapped.dataplane.attach(desired, at: TappedBench.now)
            #expect(try rules() == before)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            try tapped.dataplane.detach(desired.key.id)
            #expect(try rules() == before)
        }
    }
}
