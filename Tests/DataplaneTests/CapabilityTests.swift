// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("What the kernel can do")
    struct CapabilityTests {
        @Test(
            "Our numbers for TCX are the running kernel's", .enabled(if: Mechanism.here.contains(.tcx), "TCX needs Linux 6.6"),
            arguments: [
                ("bpf_attach_type", "BPF_TCX_INGRESS", CLIBBPF_TCX_INGRESS), ("bpf_attach_type", "BPF_TCX_EGRESS", CLIBBPF_TCX_EGRESS),
                ("bpf_link_type", "BPF_LINK_TYPE_TCX", CLIBBPF_LINK_TYPE_TCX),
            ])
        func numbersAgree(_ enumeration: String, _ name: String, _ ours: clibbpf_tcx) throws {
            try PrivateNamespaces.require()
            var value: Int64 = 0
            #expect(clibbpf_kernel_enumerator(enumeration, name, &value) == 0)
            #expect(value == Int64(ours.rawValue))
            #expect(clibbpf_kernel_enumerator(enumeration, "BPF_NO_SUCH", &value) < 0)
        }

        @Test("The control protocol's names of what is probed stay")
        func subjects() {
            let names = CapabilityFinding.Subject.allCases.map(\.rawValue)
            #expect(names == ["bpffs", "privileges", "programs", "hop", "jit", "tcx", "clsact", "cutting", "btf"])
        }

        @Test("Probing answers for every subject, attaches nothing and leaves nothing")
        func probes() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let before = try tapped.dataplane.attachments()
            let findings = tapped.dataplane.capabilities()
            #expect(findings.map(\.subject) == CapabilityFinding.Subject.allCases)
            for finding in findings {
                let isThere = finding.subject != .tcx || Mechanism.here.contains(.tcx)
                #expect((finding.answer == .yes) == isThere, "\(finding)")
            }
            #expect(try tapped.dataplane.attachments() == before)
            #expect(try run("tc", "qdisc", "show", "dev", "lo").contains("clsact") == false)
        }

        @Test("A thread that lowers its rights has virt-tapd's, and so has all that it executes")
        func lowers() async throws {
            try PrivateNamespaces.require()
            let status = try await lowered { try String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8) }
            func value(_ key: String) -> String? {
                status.split(separator: "\n").first { $0.hasPrefix("\(key):") }?.split(separator: "\t").last.map(String.init)
            }
            // kill, setgid, setuid, net_admin, net_raw, perfmon, bpf.
            let expected = String(1 << 5 | 1 << 6 | 1 << 7 | 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39 as UInt64, radix: 16)
            for set in ["CapEff", "CapPrm", "CapBnd"] { #expect(value(set)?.drop { $0 == "0" } == expected[...], "\(set)") }
            for set in ["CapInh", "CapAmb"] { #expect(value(set)?.allSatisfy { $0 == "0" } == true, "\(set)") }
            #expect(value("NoNewPrivs") == "1")
        }

        @Test("A process that may not give up capabilities gets an error")
        func cannotLower() async throws {
            try PrivateNamespaces.require()
            // The second time CAP_SETPCAP is gone, and nothing is left to be dropped but what was dropped.
            let second = try await lowered { clibbpf_keep_capabilities(0) }
            #expect(second == -EPERM)
        }

        /// Runs the body on a thread of its own, which has virt-tapd's rights and ends.
        private func lowered<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
            try await withCheckedThrowingContinuation { continuation in
                Thread {
                    continuation.resume(
                        with: Result {
                            // Only who may do more can give it up.
                            try UnitRights.withEverything {
                                try DaemonRights.lower()
                                return try body()
                            }
                        })
                }.start()
            }
        }

        @Test("What is missing is no, and what could not be asked is unknown")
        func probesThreeValued() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            func answers(_ dataplane: KernelDataplane) -> [CapabilityFinding.Subject: CapabilityFinding.Answer] {
                Dictionary(uniqueKeysWithValues: dataplane.capabilities().map { ($0.subject, $0.answer) })
            }
            guard case .no(let why, nil)? = answers(KernelDataplane(bpffs: "/tmp"))[.bpffs] else {
                Issue.record("/tmp is no bpffs")
                return
            }
            #expect(why.contains("mount -t bpf"))
            tapped.dataplane.kernel.fault = { $0 == .queryHook ? EINVAL : nil }
            guard case .no(_, minimumKernel: "6.6")? = answers(tapped.dataplane)[.tcx] else {
                Issue.record("EINVAL is a kernel without TCX")
                return
            }
            let unprivileged = KernelDataplane(bpffs: tapped.bench.bpffs)
            unprivileged.kernel.fault = { [.queryHook, .createMap, .load].contains($0) ? EPERM : nil }
            for subject in [CapabilityFinding.Subject.tcx, .programs, .relay, .jit] {
                guard case .unknown? = answers(unprivileged)[subject] else {
                    Issue.record("\(subject) was answered without privileges")
                    continue
                }
            }
        }
    }

    @Suite("The embedded object")
    struct ObjectTests {
        @Test("A verifier's refusal says its last word")
        func verifierLog() {
            let log = "0: R1=ctx()\n1: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n\n"
            let failure = FailureReport.failure(KernelError(call: .load, number: 13, log: log), "tap")
            #expect(failure.reason == .attachFailed)
            #expect(failure.message.contains(": R0 !read_ok."))
        }

        @Test("Inbound and outbound are hooks by kind of device")
        func hookPoints() {
            #expect(HookPoint(.outbound, ifindex: 1, isMacvtap: false).isEgress == false)
            #expect(HookPoint(.inbound, ifindex: 1, isMacvtap: false).isEgress)
            #expect(HookPoint(.outbound, ifindex: 1, isMacvtap: true).isEgress)
            #expect(HookPoint(.inbound, ifindex: 1, isMacvtap: true).isEgress == false)
        }
    }
}
