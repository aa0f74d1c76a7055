// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import FoundationEssentials
import Glibc
import TapModel
import TapSystem

extension KernelDataplane {
    /// What this host can do for the data path, found by trying where trying changes nothing. Attaches, pins and
    /// leaves nothing; needs no privileges, but knows less without them. Takes some milliseconds.
    public func capabilities() -> [CapabilityFinding] {
        let (programs, jit) = probePrograms()
        return [
            CapabilityFinding(.bpffs, probeBPFFS()), CapabilityFinding(.privileges, probePrivileges()),
            CapabilityFinding(.programs, programs),
            CapabilityFinding(.jit, jit), CapabilityFinding(.tcx, probeTCXAnswer()), CapabilityFinding(.clsact, probeClsact()),
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
            return .no(why: "\(pins.bpffs) is read-only here; in a systemd unit leave ProtectKernelTunables off")
        }
        let folder = [pins.layout, pins.top, pins.bpffs].first { pins.exists($0) } ?? pins.bpffs
        if access(folder, W_OK) == 0 { return .yes }
        return .unknown(why: "\(folder) may not be written by this user (\(ErrorText.of(errno)))")
    }

    /// Bits of /proc/PID/status, from linux/capability.h.
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

    /// Loads the copying program as it would be attached, and lets it go.
    private func probePrograms() -> (programs: Answer, jit: Answer) {
        do {
            let maps = TapProgram.Maps(counters: try MapLayout.counters.make(kernel), shared: try SharedMaps(unpinned: kernel), rate: nil)
            let wish = CopyWish(direction: .inbound, destination: "", mark: PacketMark())
            let constants = TapProgram.Constants(direction: .inbound, wish: wish, destinationSlot: 0)
            let program = try TapProgram.load(constants, maps, kernel)
            var info = bpf_prog_info()
            let result = clibbpf_program_info(program.object.descriptor, &info)
            if result != 0 { return (.yes, .unknown(why: ErrorText.of(-result))) }
            return (.yes, info.jited_prog_len > 0 ? .yes : .no(why: "copies cost several times more; sysctl net.core.bpf_jit_enable=1"))
        } catch {
            let failure = FailureReport.failure(error, "loading the copying program")
            let answer: Answer = failure.reason == .permissionDenied ? .unknown(why: failure.message) : .no(why: failure.message)
            return (answer, .unknown(why: "no program could be loaded"))
        }
    }

    private func probeTCXAnswer() -> Answer {
        do {
            return try probeTCX()
                ? .yes
                : .no(
                    why:
                        "taps use clsact. Beside one that copies what a guest receives, virsh domiftune --outbound fails, and beside such a limit the "
                        + "tap is qdisc-conflict; taps with direction=\"outbound\" are free of it. Setting or ending a tap of a running guest may "
                        + "cost it what arrives in those milliseconds. A kernel with TCX has none of this", minimumKernel: "6.6")
        } catch {
            return .unknown(why: FailureReport.failure(error, "asking for TCX").message)
        }
    }

    private func probeClsact() -> Answer {
        probe(modules: ["sch_ingress", "cls_bpf"], functions: ["clsact_init", "cls_bpf_classify"], minimumKernel: "4.5")
    }

    private func probeCutting() -> Answer { probe(modules: ["veth"], functions: ["veth_xmit"]) }

    /// There is no question that only tries: so by what is loaded, or could be.
    /// - Parameter functions: one of each module's.
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

    /// Whether all of these functions are in the kernel or in a module that is loaded. Names in /proc/kallsyms may be
    /// read by everybody, a line at a time since it has over a hundred thousand.
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
            return .no(why: "no /sys/kernel/btf/vmlinux: CONFIG_DEBUG_INFO_BTF is off; nothing depends on it", minimumKernel: "5.2")
        }
        return .unknown(why: ErrorText.of(-result))
    }
}
