// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

@testable import FilterCompiler

@Suite("Filters, by the program as it was built")
struct FilterCompilerTests {
    private let compiler = FilterCompiler(command: BuiltProgram.child)

    private func failure(_ expression: String, _ command: [String] = BuiltProgram.child) async -> Failure? {
        do throws(Failure) {
            _ = try await FilterCompiler(command: command).compile(expression)
            return nil
        } catch {
            return error
        }
    }

    @Test func whatTcpdumpMakesOfIt() async throws {
        // tcpdump -dd 'ip proto ospf', with the handle's own snaplen.
        let filter = try await compiler.compile("ip proto ospf")
        #expect(filter.expression == "ip proto ospf")
        #expect(
            filter.instructions == [
                0xC_0000_0028, 0x800_0300_0015, 0x17_0000_0030, 0x59_0100_0015, 0x4_0000_0000_0006, 0x6,
            ])
    }

    @Test(
        "What is compiled",
        arguments: [
            "tcp port 443 and not host 192.0.2.1", "port https", "ether host 52:54:00:12:34:56", "net 192.0.2.0/24", "ip6 host 2001:db8::1",
            "udp[8:4] & 0xff = 7", "ip broadcast", "arp or icmp6", "  tcp\n or\tudp  ", "less 64", "portrange 1-1024",
        ])
    func good(_ expression: String) async throws {
        #expect(try await !compiler.compile(expression).instructions.isEmpty)
    }

    @Test(
        "What is refused, and in which words",
        arguments: [
            ("tcp and tcp and and", "the filter ends with and, behind which something must stand"), ("port 80 &&", "ends with &&"),
            ("tcp port 80 # web", "libpcap knows no comments"), ("tcp not or udp", "libpcap does not accept the filter: "),
            ("tcp prot 80", "syntax error"), ("port nosuchport", "unknown port 'nosuchport'"),
            ("tcp and udp", "expression rejects all packets"),
            ("host web.example", "names are not looked up here (unknown host 'web.example'): write its address"),
            ("net mynet", "names are not looked up here"), ("ether host station", "names are not looked up here"),
            ("gateway router", "names, and those are not looked up here"), ("a\u{1B}[31m", "libpcap does not accept"),
            ("inbound and tcp", "direction=\"inbound\""), ("tcp or (outbound)", "direction=\"outbound\""), ("", "is empty"),
            (" \n", "is empty"),
            ("tcp\0", "NUL"), (String(repeating: " ", count: 4_090) + "tcp port", "4098 bytes; at most 4096"),
            ("tcp src portrange 5-x", "libpcap does not accept"), ("tcp\u{0}", "NUL"), ("fddi", "libpcap does not accept"),
        ])
    func bad(_ expression: String, _ words: String) async {
        let failure = await failure(expression)
        #expect(failure?.reason == .invalidFilter && failure?.message.contains(words) == true, "\(failure?.description ?? "compiled")")
    }

    @Test(
        "Names are looked up neither in files nor by anybody", .enabled(if: BuiltProgram.isRoot),
        arguments: ["host myhost", "ether host mystation", "net mynet", "host localhost", "src host myhost or tcp", "ip host myhost"])
    func names(_ expression: String) async {
        // In a place of its own where all these names are known, as far as everybody else is concerned.
        let scene = """
            mount -t tmpfs scene /mnt; mkdir /mnt/upper /mnt/work
            mount -t overlay scene -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
            echo '192.0.2.7 myhost localhost' >/etc/hosts; echo '02:03:04:05:06:07 mystation' >/etc/ethers; echo 'mynet 192.0.2.0' >/etc/networks
            echo 'hosts: files\nethers: files\nnetworks: files\nservices: files\nprotocols: files' >/etc/nsswitch.conf
            getent hosts myhost >/dev/null; getent ethers mystation >/dev/null; getent networks mynet >/dev/null
            """
        let command = ["/usr/bin/unshare", "--mount"] + BuiltProgram.child(after: scene)
        #expect(await failure("port https or ip proto ospf", command) == nil)
        #expect(await failure(expression, command)?.message.contains("names are not looked up here") == true)
    }

    @Test("VLANs are those of tcpdump on a device", .enabled(if: BuiltProgram.isRoot))
    func vlan() async throws {
        let filter = try await compiler.compile("vlan 7 and tcp")
        // ldb [vlanp]: SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
        #expect(filter.instructions.contains { $0 & 0xFFFF == 0x30 && $0 >> 32 == 0xFFFF_F030 })
        #expect(try await !compiler.compile("tcp").instructions.contains { $0 >> 32 >= 0xFFFF_F000 })
    }

    @Test(
        "Without what that takes, vlan is the only word that fails", .enabled(if: BuiltProgram.isRoot),
        arguments: [
            (["/usr/bin/setpriv", "--bounding-set=-net_raw"], Reason.permissionDenied, "CAP_NET_RAW"),
            (["/usr/bin/unshare", "--net"], .attachFailed, "ip link set lo up"),
        ])
    func withoutTags(_ scene: [String], _ reason: Reason, _ words: String) async throws {
        let command = scene + BuiltProgram.child
        let failure = await failure("vlan 7", command)
        #expect(failure?.reason == reason && failure?.message.contains(words) == true, "\(failure?.description ?? "compiled")")
        #expect(try await FilterCompiler(command: command).compile("tcp") == (try await compiler.compile("tcp")))
        #expect(try await !FilterCompiler(command: command, requiresTags: false).compile("vlan 7").instructions.isEmpty)
        #expect(await self.failure("vlan 7 tpc", command)?.reason == .invalidFilter)
    }

    @Test("A child that cannot give up root compiles nothing", .enabled(if: BuiltProgram.isRoot))
    func unconfined() async {
        let failure = await failure("tcp", ["/usr/bin/setpriv", "--bounding-set=-setuid"] + BuiltProgram.child)
        #expect(failure?.reason == .permissionDenied && failure?.message.contains("CAP_SETUID") == true, "\(failure?.description ?? "")")
    }

    @Test("What was asked once, or by two at a time, is compiled once; what the host could not do is tried again")
    func once() async throws {
        let log = (NSTemporaryDirectory() as NSString).appendingPathComponent("filters-\(UInt32.random(in: 0 ... .max))")
        defer { try? FileManager.default.removeItem(atPath: log) }
        func runs() -> Int { (try? String(contentsOfFile: log, encoding: .utf8).count) ?? 0 }
        let compiler = FilterCompiler(command: BuiltProgram.child(after: "printf x >>\(log)"))
        async let first = compiler.compile("tcp")
        async let second = compiler.compile("tcp")
        #expect(try await first == second)
        _ = try await compiler.compile("tcp")
        #expect(runs() == 1)
        for _ in 1...2 { await #expect(throws: Failure.self) { try await compiler.compile("tcp prot 80") } }
        #expect(runs() == 2)
        let broken = FilterCompiler(command: BuiltProgram.child(after: "printf x >>\(log); kill -9 $$"))
        for _ in 1...2 { await #expect(throws: Failure.self) { try await broken.compile("tcp") } }
        #expect(runs() == 4)
    }
}
