// SPDX-License-Identifier: LGPL-2.1-or-later

import PacketFilter
import PacketFilterTestSupport

/// What filters become: instructions of classic BPF and of eBPF, and how many the verifier goes through.
enum Sizes {
    private static let usual = [
        "ip", "tcp port 80", "host 192.0.2.1 and port 53", "tcp[tcpflags] & tcp-syn != 0", "ip6 net 2001:db8::/32",
        "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "geneve 7 and tcp port 80",
        (1...40).map { "host 192.0.2.\($0)" }.joined(separator: " or "),
    ]

    static func printTable(_ expressions: [String]) throws {
        for (name, handle) in [("file", PcapHandle.offline()), ("device", try PcapHandle.live())] {
            for expression in usual + ["vlan 5 and tcp port 80"] + expressions {
                try printLine("\(expression.prefix(40)) (\(name))", PcapFilter(expression, handle).instructions)
            }
        }
        for tag in [false, true] {
            for count in [100, 400, 1_000, 2_000, 3_000, 4_000, 5_000] {
                let instructions = HostChain.instructions(count, tag: tag)
                do {
                    try printLine("\(count) hosts\(tag ? " behind a tag" : "")", instructions)
                } catch {
                    print("\(count) hosts: \(instructions.count) classic, \("\(error)".suffix(200))")
                }
            }
        }
    }

    private static func printLine(_ name: String, _ instructions: [ClassicInstruction]) throws {
        let translated = try FilterTranslation.translate(ClassicProgram(instructions))
        let kernel = try KernelFilter(translated)
        print("\(name): \(instructions.count) classic, \(translated.count) eBPF, \(kernel.verifiedInstructions) verified")
    }
}
