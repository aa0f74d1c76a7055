// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Hypervisor
import TapHost
import TapModel

/// Judges the facts about this host, and says what to do; without I/O.
enum Diagnosis {
    static func findings(_ facts: HostFacts) -> [Finding] {
        [kernel(facts)] + rights(facts) + [mechanism(facts)] + facts.capabilities.map { capability($0, facts) }
            + backlog(facts) + [filters(facts), libvirt(facts)] + configuration(facts) + [daemon(facts), hook(facts)] + destinations(facts)
            + taps(facts) + [mark(facts)] + privileges(facts)
    }

    private static func kernel(_ facts: HostFacts) -> Finding {
        let numbers = facts.kernel.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return Finding(.unknown, "kernel", "unknown version \"\(facts.kernel.printable)\"") }
        if (numbers[0], numbers[1]) >= (5, 12) { return Finding(.ok, "kernel", facts.kernel.printable) }
        return Finding(
            .fail, "kernel", "\(facts.kernel.printable) is too old: Linux 5.12 is needed (atomic operations in eBPF)",
            remedy: "install a newer kernel")
    }

    /// The capabilities of virt-tapd's unit, in one line.
    private static let unit = DaemonRights.capabilities.map(\.name).joined(separator: " ")

    /// Whose rights the checks were made with: root can do more than virt-tapd.
    private static func rights(_ facts: HostFacts) -> [Finding] {
        switch facts.rights {
        case .daemon: return [Finding(.ok, "rights", "checked by virt-tapd itself, with its own rights")]
        case .unit(_, nil):
            let state =
                switch facts.daemon {
                case .silent: "does not answer"
                case .unreachable: "cannot be asked"
                case .notRunning, .running: "is not running"
                }
            return [Finding(.ok, "rights", "virt-tapd \(state), so checked with the capabilities of its unit: \(unit)")]
        case .unit(_, let why?):
            return [
                Finding(
                    .warn, "rights",
                    "virt-tapd did not check its rights (\(why.printable)), so checked with the capabilities of its unit: \(unit)",
                    remedy: "systemctl restart virt-tapd, which does not interrupt copying")
            ]
        case .caller(let why):
            // For other users the line "user" says so.
            guard facts.user == 0 else { return [] }
            return [Finding(.unknown, "rights", "checked with root's rights, of which virt-tapd has few: \(why.printable)")]
        }
    }

    private static func mechanism(_ facts: HostFacts) -> Finding {
        let found = facts.rights.examination
        switch found?.mechanism ?? facts.mechanism {
        case .success(let mechanism):
            return Finding(.ok, "attaching", "by \(mechanism.rawValue)" + (facts.choice == .auto ? "" : ", as configured"))
        case .failure(let failure):
            return found == nil
                ? finding("attaching", failure) : Finding(.fail, "attaching", failure.message.printable, remedy: remedy(facts))
        }
    }

    private static func pinned(_ facts: HostFacts) -> Finding {
        switch facts.attachments {
        case .success(let count):
            Finding(.ok, "bpffs", "\(facts.bpffs.printable), with \(count) pinned attachment\(count == 1 ? "" : "s")")
        case .failure(let failure): finding("bpffs", failure)
        }
    }

    private static func finding(_ subject: String, _ failure: Failure) -> Finding {
        failure.reason == .permissionDenied
            ? Finding(.unknown, subject, failure.message.printable, remedy: asRoot) : Finding(.fail, subject, failure.message.printable)
    }

    private static let asRoot = "run virt-tap doctor as root"

    private static func capability(_ own: CapabilityFinding, _ facts: HostFacts) -> Finding {
        // What depends on rights is virt-tapd's to say. Of the kernel, its sandbox shows it less than this process sees.
        let dependsOnRights = CapabilityFinding.ofRights.contains(own.subject)
        let judged = dependsOnRights ? facts.rights.examination?.findings.first { $0.subject == own.subject } : nil
        let (subject, works) =
            switch own.subject {
            case .bpffs: ("bpffs", facts.bpffs)
            case .privileges: ("capabilities", "has CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")
            case .programs: ("programs", "the kernel loads the tap programs")
            case .relay: ("relay", "the kernel loads the programs that truncate and encapsulate copies and resolve offloads")
            case .jit: ("jit", "the kernel compiles programs to machine code")
            case .tcx: ("tcx", "supported by the kernel")
            case .clsact: ("clsact", "supported by the kernel")
            case .cutting: ("cutting", "the kernel has veth devices, for snaplen, mtu and remote destinations")
            case .btf: ("btf", "the kernel has type information")
            }
        switch (judged ?? own).answer {
        case .yes: return own.subject == .bpffs ? pinned(facts) : Finding(.ok, subject, works)
        // For root "unknown" would be left open, but virt-tapd must be able to do it. If no program could be loaded, the JIT stays unknown.
        case .unknown(let why) where judged != nil && own.subject != .jit:
            return Finding(.fail, subject, "fails with virt-tapd's rights: \(why.printable)", remedy: remedy(facts))
        case .unknown(let why): return Finding(.unknown, subject, why.printable, remedy: judged == nil ? asRoot : nil)
        case .no(let why, let minimum):
            let needs = minimum.map { " (needs Linux \($0))" } ?? ""
            guard judged != nil, own.answer == .yes else {
                return Finding(level(ofMissing: own.subject, facts), subject, "no\(needs): \(why.printable)")
            }
            return Finding(
                level(ofMissing: own.subject, facts), subject, "fails with virt-tapd's rights, works with root's: \(why.printable)",
                remedy: remedy(facts))
        }
    }

    /// What to do if virt-tapd may not do what root may.
    private static func remedy(_ facts: HostFacts) -> String {
        let found = facts.rights.examination?.findings.first { $0.subject == .privileges }
        if case .daemon = facts.rights, let found, found.answer != .yes {
            return "start virt-tapd with its unit as installed, which gives it \(unit); `systemctl cat virt-tapd` shows the unit"
        }
        return "the unit's capabilities should suffice: report this with the output of `virt-tap doctor`"
    }

    /// How severe it is that this host lacks something.
    private static func level(ofMissing subject: CapabilityFinding.Subject, _ facts: HostFacts) -> Finding.Level {
        switch subject {
        case .bpffs, .programs, .relay: .fail
        // virt-tapd may have the capabilities that this process lacks.
        case .privileges: facts.rights.examination == nil ? .warn : .fail
        case .jit, .tcx, .cutting, .btf: .warn
        case .clsact: (try? (facts.rights.examination?.mechanism ?? facts.mechanism).get()) == .clsact ? .fail : .ok
        }
    }

    /// The smallest backlog, in frames, of which copies through the relay leave enough to guests: TAP_BACKLOG_SHARE of CTapABI.h.
    private static let leastBacklog = 1_000

    private static func backlog(_ facts: HostFacts) -> [Finding] {
        guard let backlog = facts.backlog, backlog < leastBacklog else { return [] }
        return [
            Finding(
                .warn, "backlog",
                "net.core.netdev_max_backlog is \(backlog): copies through the relay may take up to \(leastBacklog * 3 / 4) entries of it, "
                    + "and then frames of guests are dropped",
                remedy: "sysctl net.core.netdev_max_backlog=\(leastBacklog)")
        ]
    }

    private static func filters(_ facts: HostFacts) -> Finding {
        let found = facts.rights.examination
        guard let failure = found == nil ? facts.filters : found?.filters else {
            return Finding(.ok, "filters", "libpcap compiles filters in a confined process")
        }
        if found != nil, facts.filters == nil {
            let why = "fails with virt-tapd's rights, works with root's: \(failure.message.printable)"
            return Finding(.fail, "filters", why, remedy: remedy(facts))
        }
        // The rights of another user say nothing about virt-tapd.
        let isRoot = facts.user == 0
        return Finding(isRoot ? .fail : .unknown, "filters", failure.message.printable, remedy: isRoot ? nil : asRoot)
    }

    private static func libvirt(_ facts: HostFacts) -> Finding {
        switch facts.libvirt.daemon {
        case .success(let daemon):
            let hypervisor = daemon.hypervisor + (daemon.hypervisorVersion.map { " \($0)" } ?? "")
            let process = daemon.hypervisor == "QEMU" ? facts.libvirtProcess.map { " by \($0.name)" } ?? "" : ""
            return Finding(
                .ok, "libvirt",
                ("\(daemon.libvirtVersion)\(process) at \(daemon.uri), \(hypervisor), "
                    + "\(daemon.domains) domain\(daemon.domains == 1 ? "" : "s")").printable)
        case .failure(let failure):
            return Finding(
                .fail, "libvirt", "\(failure.message.printable) (library \(facts.libvirt.libraryVersion))",
                remedy: "systemctl start libvirtd (or virtqemud.socket and virtqemud), and check --connect and <libvirt uri>")
        }
    }

    private static func privileges(_ facts: HostFacts) -> [Finding] {
        guard facts.user != 0 else { return [] }
        let message = "run by user \(facts.user), not root: checks that are unknown do not count for the exit code"
        return [Finding(.unknown, "user", message, remedy: asRoot)]
    }

    private static func configuration(_ facts: HostFacts) -> [Finding] {
        let file = configurationFile(facts)
        guard case .success(let configuration) = facts.configuration else { return [file] }
        var findings = [file]
        if !configuration.policy.tapsAllowed {
            findings.append(Finding(.warn, "policy", "<policy taps=\"no\"/> stops all copying on this host"))
        }
        if case .running(let document) = facts.daemon {
            // The line "hook" is about the hook.
            findings += (document.daemon.warnings ?? []).filter { $0.reason != .hookNotCalled }.map {
                Finding(.warn, "configuration", "\($0.message.printable) (\($0.reason.rawValue))")
            }
        }
        return findings
    }

    private static func configurationFile(_ facts: HostFacts) -> Finding {
        let path = facts.configPath.printable
        switch facts.configuration {
        case .failure(let problem):
            var message = problem.lines.joined(separator: "; ")
            if case .running(let document) = facts.daemon {
                message +=
                    document.config.loaded == nil
                    ? "; virt-tapd has no configuration: taps in the kernel stay as they are, and nothing new is attached"
                    : "; virt-tapd still uses the configuration before it"
            }
            return Finding(
                .fail, "configuration", message,
                remedy: "correct the file until `virt-tap check` accepts it; virt-tapd loads it within seconds")
        case .success:
            if case .running(let document) = facts.daemon, document.config.path != facts.configPath {
                return Finding(
                    .warn, "configuration",
                    "virt-tapd uses \(document.config.path.printable), but this command read \(path)",
                    remedy: "use --config \(document.config.path.printable)")
            }
            if case .running(let document) = facts.daemon, document.config.stale {
                return Finding(
                    .warn, "configuration",
                    "\(path) is valid, but virt-tapd "
                        + (document.config.loaded == nil ? "has not read it yet" : "still uses the configuration before it"),
                    remedy: "systemctl reload virt-tapd")
            }
            guard facts.configExists else {
                return Finding(
                    .warn, "configuration", "\(path) does not exist, so there are no destinations",
                    remedy: "write the file; \(Documentation.path("reference/configuration.md").printable) has examples")
            }
            return Finding(.ok, "configuration", "\(path) is valid")
        }
    }

    private static func daemon(_ facts: HostFacts) -> Finding {
        switch facts.daemon {
        case .notRunning:
            return Finding(
                .fail, "virt-tapd", "not running: attached taps go on copying, and nothing new is attached",
                remedy: "systemctl enable --now virt-tapd.socket virt-tapd")
        case .silent:
            return Finding(
                .fail, "virt-tapd", "does not answer: it hangs, or the host is overloaded; attached taps go on copying",
                remedy: "systemctl restart virt-tapd, which does not interrupt copying")
        case .unreachable(let why):
            return Finding(facts.user == 0 ? .fail : .unknown, "virt-tapd", why.printable, remedy: facts.user == 0 ? nil : asRoot)
        case .running(let document):
            let version = document.daemon.version ?? "(unknown version)"
            if document.daemon.paused == true {
                return Finding(.warn, "virt-tapd", "paused by `virt-tap purge --now`", remedy: "systemctl reload virt-tapd")
            }
            if document.daemon.connected == false {
                return Finding(
                    .fail, "virt-tapd", "\(version.printable) is running, but not connected to libvirt",
                    remedy: "see the line libvirt above")
            }
            if version != virtTapVersion {
                return Finding(
                    .warn, "virt-tapd", "\(version.printable) is running, but this command is \(virtTapVersion)",
                    remedy: "systemctl restart virt-tapd")
            }
            return Finding(.ok, "virt-tapd", "\(version) is running" + (document.daemon.pid.map { " as process \($0)" } ?? ""))
        }
    }

    /// The name of libvirt's daemon on this host.
    private static func libvirtDaemon(_ facts: HostFacts) -> String { facts.libvirtProcess?.name ?? "libvirtd (or virtqemud)" }

    /// The error in seconds of a process's start time: it is the boot time, in whole seconds, plus a number of ticks.
    private static let clockError: Int64 = 2

    /// A hook that does not work fails the check if an enabled tap is required: the guest would start without it.
    private static func levelWithoutHook(_ facts: HostFacts) -> Finding.Level {
        guard case .running(let document) = facts.daemon else { return .warn }
        return document.taps.contains { $0.required == true && $0.enabled != false } ? .fail : .warn
    }

    private static func hook(_ facts: HostFacts) -> Finding {
        let path = HookInstallation.path
        switch facts.hook {
        case .missing:
            return Finding(
                levelWithoutHook(facts), "hook",
                "\(path) is missing: "
                    + (levelWithoutHook(facts) == .fail ? "required=\"yes\" has no effect, " : "")
                    + "taps are attached about 100 ms after a guest starts, and its first packets are not copied",
                remedy: "`make install` installs the hook; then restart \(libvirtDaemon(facts)), which finds hooks only when it starts")
        case .notExecutable:
            return Finding(
                levelWithoutHook(facts), "hook", "\(path) is not executable, so libvirt ignores it", remedy: "chmod 755 \(path)")
        case .installed where !facts.hasTimeout:
            return Finding(
                levelWithoutHook(facts), "hook", "timeout(1) is missing, so the hook does nothing",
                remedy: "install coreutils, or busybox's timeout")
        case .installed where facts.hasHookTimedOut:
            return Finding(
                .warn, "hook",
                "a call of virt-tap by the hook timed out less than five minutes ago: for that time required=\"yes\" has no effect, "
                    + "and first packets may not be copied",
                remedy: "check that `virt-tap --version` ends, and what overloads the host")
        case .installed(let since):
            if case .running(let document) = facts.daemon, let missed = document.hook.missed { return uncalled(since: missed, facts) }
            if case .running(let document) = facts.daemon, let seen = document.hook.seen {
                return Finding(.ok, "hook", "installed, last called \(seen)")
            }
            if let process = facts.libvirtProcess, process.started.seconds + clockError < since.seconds {
                return Finding(
                    .warn, "hook", "\(path) was installed after \(process.name) started, which finds hooks only when it starts",
                    remedy: "systemctl restart \(process.name): guests keep running")
            }
            if case .running = facts.daemon {
                return Finding(.ok, "hook", "installed; not called since virt-tapd started: the next start of a guest calls it")
            }
            return Finding(.ok, "hook", "installed")
        }
    }

    /// The hook is installed, and a guest started without a call of it.
    private static func uncalled(since missed: Timestamp, _ facts: HostFacts) -> Finding {
        let daemon = libvirtDaemon(facts)
        return Finding(
            levelWithoutHook(facts), "hook",
            "\(daemon) started a guest at \(missed) without calling \(HookInstallation.path) "
                + "(\(Reason.hookNotCalled.rawValue)): required=\"yes\" has no effect, and first packets are not copied",
            remedy: "systemctl restart \(daemon), which finds hooks when it starts: guests keep running. If the next start of a guest does "
                + "not call the hook either: libvirt is older than 6.5, or uses another /etc/libvirt (in a container), or may not run the "
                + "script (SELinux, AppArmor), or virt-tap times out in the script")
    }

    private static func destinations(_ facts: HostFacts) -> [Finding] {
        facts.destinations.map { destination in
            let subject = "destination \(destination.name.printable)"
            if destination.state == .active, let warning = destination.routeWarnings.first {
                return Finding(.warn, subject, StatusNotes.sentence(warning.message, warning.reason))
            }
            if destination.state == .active { return Finding(.ok, subject, "\(destination.kind.rawValue), works") }
            return Finding(
                destination.state == .pending ? .unknown : .fail, subject,
                StatusNotes.sentence(destination.explanation, destination.reason))
        }
    }

    /// Whether taps work: the host may be well, and a tap may not.
    private static func taps(_ facts: HostFacts) -> [Finding] {
        guard case .running(let document) = facts.daemon else { return [] }
        let taps = document.taps.filter { $0.running != false }
        let broken = taps.filter { [.failed, .denied, .degraded, .unsupported].contains($0.state) }
        guard let first = broken.first else {
            return taps.isEmpty ? [] : [Finding(.ok, "taps", "\(taps.count) tap\(taps.count == 1 ? "" : "s"), none failed")]
        }
        let reason = first.reason.map { " (\($0.rawValue))" } ?? ""
        let verb = broken.count == 1 ? "does" : "do"
        let text = "\(broken.count) of \(taps.count) \(verb) not work, for example \(first.domain.printable)/\(first.name)\(reason)"
        return [Finding(.warn, "taps", text, remedy: "`virt-tap status` says why")]
    }

    private static func mark(_ facts: HostFacts) -> Finding {
        let mark = (try? facts.configuration.get())?.mark ?? PacketMark()
        if case .running(let document) = facts.daemon {
            let warned = document.taps.filter { $0.warnings.contains { $0.reason == .foreignMark } }
            if let first = warned.first, facts.markUsers?.isEmpty != false {
                return Finding(
                    .warn, "mark",
                    "frames of \(first.domain.printable)/\(first.name) have the mark of copies, \(mark) "
                        + "(\(Reason.foreignMark.rawValue)), and no rule on this host sets it",
                    remedy: "look for eBPF programs and sockets (SO_MARK) that set it, or choose another <mark value=\"…\" mask=\"…\"/>")
            }
        }
        guard let users = facts.markUsers else {
            return Finding(
                .unknown, "mark", "cannot list rules that use the mark \(mark): ip, nft and iptables-save do not work")
        }
        guard let first = users.first else { return Finding(.ok, "mark", "no other rule uses \(mark)") }
        let more = users.count > 1 ? " and \(users.count - 1) more" : ""
        return Finding(
            .warn, "mark", "\(mark) is also used by other rules: \(first.printable)\(more)",
            remedy: "choose unused bits with <mark value=\"…\" mask=\"…\"/>: frames of guests with the mark are not copied")
    }
}
