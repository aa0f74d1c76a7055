// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import FoundationEssentials
import Glibc
import PacketFilter
import TapModel
import TapSystem

extension KernelDataplane {
    /// Finds out what this host can do for the data path, by trying where trying changes nothing. Attaches and pins
    /// nothing. Needs no privileges, but more answers are unknown without them. Takes some tens of milliseconds.
    public func capabilities() -> [CapabilityFinding] {
        let maps = Result { try SharedMaps(unpinned: kernel) }
        let (programs, jit) = probePrograms(maps)
        return [
            CapabilityFinding(.bpffs, probeBPFFS()), CapabilityFinding(.privileges, probePrivileges()),
            CapabilityFinding(.programs, programs), CapabilityFinding(.relay, probeRelay(maps)), CapabilityFinding(.jit, jit),
            CapabilityFinding(.tcx, probeTCXAnswer()), CapabilityFinding(.clsact, probeClsact()),
            CapabilityFinding(.cutting, probeCutting()), CapabilityFinding(.btf, probeBTF()),
        ]
    }

    private typealias Answer = CapabilityFinding.Answer

    private func probeBPFFS() -> Answer {
        do {
            try pins.requireMounted()
        } catch {
            let failure = FailureReport.failure(error, "bpffs")
            return failure.reason == .permissionDenied ? .unknown(why: failure.message) : .no(why: failure.message)
        }
        var information = statvfs()
        guard statvfs(pins.bpffs, &information) == 0 else { return .unknown(why: "\(pins.bpffs): \(ErrorText.of(errno))") }
        if information.f_flag & UInt(ST_RDONLY) != 0 {
            return .no(why: "\(pins.bpffs) is read-only here; in a systemd unit do not set ProtectKernelTunables=")
        }
        let folder = [pins.layout, pins.top, pins.bpffs].first { pins.exists($0) } ?? pins.bpffs
        if access(folder, W_OK) == 0 { return .yes }
        return .unknown(why: "\(folder) may not be written by this user (\(ErrorText.of(errno)))")
    }

    /// Reads the effective capabilities from /proc/self/status; the bits are those of linux/capability.h.
    private func probePrivileges() -> Answer {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
            let set = line.split(whereSeparator: \.isWhitespace).last.flatMap({ UInt64($0, radix: 16) })
        else { return .unknown(why: "/proc/self/status cannot be read") }
        let missing = [("CAP_NET_ADMIN", 12), ("CAP_BPF", 39), ("CAP_PERFMON", 38)].filter { set & 1 << $0.1 == 0 }.map(\.0)
        // CAP_SYS_ADMIN stands for the other two, which are of Linux 5.8.
        if missing.isEmpty || (!missing.contains("CAP_NET_ADMIN") && set & 1 << 21 != 0) { return .yes }
        return .no(why: "\(missing.joined(separator: " and ")) missing; run as root or grant them to the daemon")
    }

    /// Loads the copying programs as they would be attached, and closes them again.
    private func probePrograms(_ maps: Result<SharedMaps, any Error>) -> (programs: Answer, jit: Answer) {
        var what = "making maps"
        do {
            let maps = TapProgram.Maps(counters: try MapLayout.counters.make(kernel), shared: try maps.get(), rate: try createRateMap())
            var jit = Answer.yes
            for (name, options, filter) in Self.samples {
                for direction in Direction.allCases {
                    what = "loading the program of \(name)"
                    let constants = TapProgram.Constants(direction: direction, options: options, destinationSlot: 0, filter: filter)
                    let program = try TapProgram.load(constants, maps, kernel)
                    var info = bpf_prog_info()
                    let result = clibbpf_program_info(program.object.descriptor, &info)
                    if result != 0 {
                        jit = .unknown(why: ErrorText.of(-result))
                    } else if info.jited_prog_len == 0 {
                        jit = .no(why: "copies cost several times more without it; turn it on: sysctl net.core.bpf_jit_enable=1")
                    }
                }
            }
            return (.yes, jit)
        } catch {
            return (Self.refusal(error, what), .unknown(why: "no program could be loaded"))
        }
    }

    /// The taps whose programs give the verifier the least and the most to check.
    private static var samples: [(name: String, options: CopyOptions, filter: [UInt64])] {
        let plain = CopyOptions(direction: .both, destination: "", mark: PacketMark())
        var full = plain
        full.snaplen = .headers
        full.sampling = .flows(oneIn: 2)
        full.rate = RateLimit(perSecond: 1_000, unit: .bitsPerSecond, burst: 64, text: "1kbit", burstText: nil)
        full.once = true
        full.resolvesOffloads = true
        // The filter `ip`: a load, a comparison and two returns.
        let words: [UInt64] = [0x0000_000C_0000_0028, 0x0000_0800_0100_0015, 0x0004_0000_0000_0006, 0x6]
        let filter = try? FilterTranslation.translate(ClassicProgram(words.map { ClassicInstruction(word: $0) }))
        return [("a plain tap", plain, []), ("a tap with every option", full, filter ?? [])]
    }

    /// Loads the relay's programs without installing the relay.
    private func probeRelay(_ maps: Result<SharedMaps, any Error>) -> Answer {
        do {
            let sums = try MapLayout.sums.make(kernel)
            for end in RelayEnd.allCases { _ = try RelayInstaller.load(end, sums, maps.get(), kernel) }
            return .yes
        } catch {
            return Self.refusal(error, "loading the relay's program")
        }
    }

    private static func refusal(_ error: any Error, _ what: String) -> Answer {
        // `virt-tap doctor` adds what to do about it.
        if let refusal = FailureReport.refusal(error) { return .no(why: "\(what): \(refusal)") }
        let failure = FailureReport.failure(error, what)
        return failure.reason == .permissionDenied ? .unknown(why: failure.message) : .no(why: failure.message)
    }

    private func probeTCXAnswer() -> Answer {
        do {
            return try probeTCX()
                ? .yes
                : .no(
                    why:
                        "taps use clsact. With a tap that copies what a guest receives, virsh domiftune --outbound fails, and with such a limit the "
                        + "tap is qdisc-conflict; taps with direction=\"outbound\" are not affected. Setting or ending a tap of a running guest may "
                        + "cost the guest the packets that arrive in those milliseconds. A kernel with TCX has none of these limits",
                    minimumKernel: "6.6")
        } catch {
            return .unknown(why: FailureReport.failure(error, "asking for TCX").message)
        }
    }

    private func probeClsact() -> Answer {
        probe(modules: ["sch_ingress", "cls_bpf"], functions: ["clsact_init", "cls_bpf_classify"], minimumKernel: "4.5")
    }

    private func probeCutting() -> Answer { probe(modules: ["veth"], functions: ["veth_xmit"]) }

    /// Reads whether modules are loaded or could be, where trying would change something.
    /// - Parameter functions: one function of each module.
    private func probe(modules: [String], functions: Set<String>, minimumKernel: String? = nil) -> Answer {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let lists = ["modules.dep", "modules.builtin"].compactMap {
            try? String(contentsOfFile: "/lib/modules/\(release)/\($0)", encoding: .utf8)
        }
        let missing = modules.filter { module in !lists.contains { $0.contains("/\(module).ko") } }
        if missing.isEmpty || Self.kernelHas(functions) { return .yes }
        if lists.isEmpty { return .unknown(why: "/lib/modules/\(release) cannot be read, nor all of /proc/kallsyms") }
        return .no(
            why: "the kernel has no \(missing.joined(separator: " and no ")); install the rest of its modules", minimumKernel: minimumKernel
        )
    }

    /// Reads whether all of these functions are in the kernel or in a loaded module. Everybody may read the names in /proc/kallsyms. It is
    /// read one line at a time, since it has over a hundred thousand.
    private static func kernelHas(_ functions: Set<String>) -> Bool {
        guard let file = fopen("/proc/kallsyms", "re") else { return false }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        var missing = functions
        while !missing.isEmpty, getline(&line, &room, file) > 0, let line {
            for function in missing where strstr(line, " \(function)\n") != nil || strstr(line, " \(function)\t") != nil {
                missing.remove(function)
            }
        }
        return missing.isEmpty
    }

    private func probeBTF() -> Answer {
        var value: Int64 = 0
        let result = clibbpf_kernel_enumerator("bpf_attach_type", "BPF_CGROUP_INET_INGRESS", &value)
        if result == 0 { return .yes }
        if result == -ENOENT {
            return .no(
                why: "no /sys/kernel/btf/vmlinux: CONFIG_DEBUG_INFO_BTF is off; monitor ports, snaplen, mtu and tunnels need it",
                minimumKernel: "5.2")
        }
        return .unknown(why: ErrorText.of(-result))
    }
}
