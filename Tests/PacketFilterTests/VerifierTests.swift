// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import PacketFilter
import PacketFilterTestSupport
import TestSupport
import Testing

extension KernelFilterSuite {
    @Suite("The verifier")
    struct VerifierTests {
        @Test("Every expression loads, as a program and as a function, for files and for devices", arguments: [false, true])
        func loads(_ live: Bool) throws {
            try PrivateNamespaces.require()
            let handle = live ? try PcapHandle.live() : PcapHandle.offline()
            for expression in Expressions.all {
                let translated = try FilterTranslation.translate(ClassicProgram(PcapFilter(expression, handle).instructions))
                do {
                    let whole = try KernelFilter(translated)
                    // Each instruction a few times at most.
                    #expect((1...4 * translated.count).contains(whole.verifiedInstructions), "\(expression): \(whole.verifiedInstructions)")
                    _ = try KernelFilter(function: translated)
                } catch {
                    Issue.record("\(expression): \(error)")
                }
            }
        }

        @Test("Random programs load")
        func loadsRandomPrograms() throws {
            try PrivateNamespaces.require()
            var random = SeededGenerator(seed: 4)
            for _ in 0..<(400 / KernelFilterSuite.stride) {
                _ = try KernelFilter(FilterTranslation.translate(ClassicProgram(RandomProgram.make(&random))))
            }
        }

        @Test("Long chains load: the verifier's work grows with their length and no faster")
        func loadsChains() throws {
            try PrivateNamespaces.require()
            let count = 1_000 / KernelFilterSuite.stride
            for live in [false, true] {
                let translated = try FilterTranslation.translate(ClassicProgram(HostChain.instructions(count, tag: live)))
                let loaded = try KernelFilter(function: translated)
                #expect((1...4 * translated.count).contains(loaded.verifiedInstructions))
            }
        }

        @Test("What is accepted is not too complex for it")
        func knowsItsLimit() throws {
            try PrivateNamespaces.require()
            // Two comparisons a host.
            var (accepted, refused) = (4_040, KernelFilterSuite.stride == 1 ? 4_052 : 4_041)
            while refused - accepted > 1 {
                let count = (accepted + refused) / 2
                do throws(FilterError) {
                    _ = try FilterTranslation.translate(ClassicProgram(HostChain.instructions(count)))
                    accepted = count
                } catch {
                    guard case .tooLarge = error else { throw error }
                    refused = count
                }
            }
            if KernelFilterSuite.stride == 1 { #expect(accepted < 4_051) }
            _ = try KernelFilter(function: FilterTranslation.translate(ClassicProgram(HostChain.instructions(accepted))))
        }

        @Test("CAP_BPF and CAP_NET_ADMIN are enough")
        func needsNoPerfmon() throws {
            try PrivateNamespaces.require()
            // Beside the tests, in the same folder of programs.
            let program = try Self.programs().appending(path: "fuzz-filter").path
            let words = [
                "--bounding-set=-all,+bpf,+net_admin", "--inh-caps=-all", "grep", "CapEff", "/proc/self/status",
            ]
            let capabilities = try run("setpriv", words[0], words[1], words[2], words[3], words[4])
            // 1 << 39 | 1 << 12
            #expect(capabilities.hasSuffix("0000008000001000\n"))
            let pairs = "\(Expressions.all.count * 400 / KernelFilterSuite.stride)"
            _ = try run("setpriv", words[0], words[1], program, "--expressions-only", "--pairs", pairs, "--seed", "1")
        }

        private static func programs() throws -> URL {
            for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
                return URL(filePath: argument).deletingLastPathComponent()
            }
            return try #require(Bundle.main.executableURL).deletingLastPathComponent()
        }
    }
}
