// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Hypervisor
import TapHost
import TapModel

/// Says what the facts mean and what to do; no I/O.
enum Diagnosis {
    static func findings(_ facts: HostFacts) -> [Finding] {
        [kernel(facts)] + rights(facts) + [mechanism(facts)] + facts.capabilities.map { capability($0, facts) }
            + backlog(facts) + [filters(facts), libvirt(facts)] + configuration(facts) + [daemon(facts), hook(facts)] + destinations(facts)
            + taps(facts) + [mark(facts)] + privileges(facts)
    }

    private static func kernel(_ facts: HostFacts) -> Finding {
        let numbers = facts.kernel.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return Finding(.unknown, "kernel", "\(facts.kernel.printable): the version cannot be read") }
        if (numbers[0], numbers[1]) >= (5, 12) { return Finding(.ok, "kernel", facts.kernel.printable) }
        return Finding(
            .fail, "kernel", "\(facts.kernel.printable): too old, 5.12 is needed (atomic operations in eBPF)", remedy: "run a newer kernel")
    }

    /// The capabilities of the unit in one line.
    private static let unit = DaemonRights.capabilities.map(\.name).joined(separator: " ")

    /// By whose rights is judged what depends on them: root can do what virt-tapd cannot.
    private static func rights(_ facts: HostFacts) -> [Finding] {
        switch facts.rights {
        case .daemons: return [Finding(.ok, "rights", "virt-tapd's own: it looked itself at what depends on them")]
        case .units(_, nil):
            let state =
                switch facts.daemon {
                case .silent: "does not answer"
                case .unreachable: "cannot be asked"
                case .notRunning, .running: "does not run"
                }
            return [Finding(.ok, "rights", "those that its unit gives to virt-tapd, which \(state): \(unit)")]
        case .units(_, let why?):
            return [
                Finding(
                    .warn, "rights",
                    "virt-tapd did not say what it can do (\(why.printable)), so what its unit gives it is tried: \(unit)",
                    remedy: "systemctl restart virt-tapd, which harms no tap")
            ]
        case .own(let why):
            // Another line says so of all.
            guard facts.user == 0 else { return [] }
            return [Finding(.unknown, "rights", "\(why.printable): what follows is what root can do, and virt-tapd may not")]
        }
    }

    private static func mechanism(_ facts: HostFacts) -> Finding {
        let found = facts.rights.examination
        switch found?.mechanism ?? facts.mechanism {
        case .success(let mechanism):
            return Finding(.ok, "attaching", "by \(mechanism.rawValue)" + (facts.choice == .auto ? "" : ", as the configuration says"))
        case .failure(let failure):
            return found == nil
                ? finding("attaching", failure) : Finding(.fail, "attaching", failure.message.printable, remedy: remedy(facts))
        }
    }

    private static func pinned(_ facts: HostFacts) -> Finding {
        switch facts.attachments {
        case .success(let count):
            Finding(.ok, "bpffs", "\(facts.bpffs.printable): \(count) attachment\(count == 1 ? "" : "s") pinned")
        case .failure(let failure): finding("bpffs", failure)
        }
    }

    private static func finding(_ subject: String, _ failure: Failure) -> Finding {
        failure.reason == .permissionDenied
            ? Finding(.unknown, subject, failure.message.printable, remedy: asRoot) : Finding(.fail, subject, failure.message.printable)
    }

    private static let asRoot = "run virt-tap doctor as root"

    private static func capability(_ own: CapabilityFinding, _ facts: HostFacts) -> Finding {
        // virt-tapd's word counts where rights do; of the kernel the sandbox shows it less.
        let isOfRights = CapabilityFinding.ofRights.contains(own.subject)
        let judged = isOfRights ? facts.rights.examination?.findings.first { $0.subject == own.subject } : nil
        let (subject, works) =
            switch own.subject {
            case .bpffs: ("bpffs", facts.bpffs)
            case .privileges: ("capabilities", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are there")
            case .programs: ("programs", "the kernel takes them")
            case .relay: ("relay", "the kernel takes the program that cuts, wraps and finishes copies")
            case .jit: ("jit", "programs run as machine code")
            case .tcx: ("tcx", "the kernel has it")
            case .clsact: ("clsact", "the kernel has it")
            case .cutting: ("cutting", "the kernel has veth devices, which snaplen, mtu and remote destinations need")
            case .btf: ("btf", "the kernel describes its types")
            }
        switch (judged ?? own).answer {
        case .yes: return own.subject == .bpffs ? pinned(facts) : Finding(.ok, subject, works)
        // What root would have been told; virt-tapd has to be able to do it. Whether programs are compiled was not seen, if there are none.
        case .unknown(let why) where judged != nil && own.subject != .jit:
            return Finding(.fail, subject, "not with virt-tapd's rights: \(why.printable)", remedy: remedy(facts))
        case .unknown(let why): return Finding(.unknown, subject, why.printable, remedy: judged == nil ? asRoot : nil)
        case .no(let why, let minimum):
            let needs = minimum.map { " (since Linux \($0))" } ?? ""
            guard judged != nil, own.answer == .yes else {
                return Finding(level(ofMissing: own.subject, facts), subject, "no\(needs): \(why.printable)")
            }
            return Finding(
                level(ofMissing: own.subject, facts), subject, "not with virt-tapd's rights, though with all of root's: \(why.printable)",
                remedy: remedy(facts))
        }
    }

    /// What to do when virt-tapd may not do what root may.
    private static func remedy(_ facts: HostFacts) -> String {
        let found = facts.rights.examination?.findings.first { $0.subject == .privileges }
        if case .daemons = facts.rights, let found, found.answer != .yes {
            return "virt-tapd has to run as its unit is installed, with \(unit): see `systemctl cat virt-tapd`"
        }
        return "its unit ought to be enough: report this, with all that doctor says"
    }

    /// What it means for copying that this host has not got something.
    private static func level(ofMissing subject: CapabilityFinding.Subject, _ facts: HostFacts) -> Finding.Level {
        switch subject {
        case .bpffs, .programs, .relay: .fail
        // The daemon may well have what this process lacks.
        case .privileges: facts.rights.examination == nil ? .warn : .fail
        case .jit, .tcx, .cutting, .btf: .warn
        case .clsact: (try? (facts.rights.examination?.mechanism ?? facts.mechanism).get()) == .clsact ? .fail : .ok
        }
    }

    /// A share of it is for copies that are cut, wrapped or finished: TAP_BACKLOG_SHARE of CTapABI.h.
    private static let leastBacklog = 1_000

    private static func backlog(_ facts: HostFacts) -> [Finding] {
        guard let backlog = facts.backlog, backlog < leastBacklog else { return [] }
        return [
            Finding(
                .warn, "backlog",
                "net.core.netdev_max_backlog is \(backlog): copies that are cut, wrapped or finished may take up to \(leastBacklog * 3 / 4) places of "
                    + "it, and then frames of guests are dropped",
                remedy: "sysctl net.core.netdev_max_backlog=\(leastBacklog)")
        ]
    }

    private static func filters(_ facts: HostFacts) -> Finding {
        let found = facts.rights.examination
        guard let failure = found == nil ? facts.filters : found?.filters else {
            return Finding(.ok, "filters", "libpcap compiles them in a confined child")
        }
        if found != nil, facts.filters == nil {
            let why = "not with virt-tapd's rights, though with all of root's: \(failure.message.printable)"
            return Finding(.fail, "filters", why, remedy: remedy(facts))
        }
        // By another user's rights nothing is known of the daemon's.
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
                remedy: "systemctl start libvirtd, or virtqemud.socket and virtqemud; a --connect or <libvirt uri> that is wrong looks "
                    + "like this too")
        }
    }

    private static func privileges(_ facts: HostFacts) -> [Finding] {
        guard facts.user != 0 else { return [] }
        let message = "asked by user \(facts.user), not root: what is unknown above does not count for the exit code"
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
            // Of the hook another line tells.
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
                    ? "; virt-tapd has none: taps in the kernel stay as they are, and nothing new is tapped"
                    : "; virt-tapd uses the one before it"
            }
            return Finding(
                .fail, "configuration", message,
                remedy:
                    "correct it, virt-tap check says when it is right; virt-tapd takes it within seconds, systemctl reload virt-tapd at once"
            )
        case .success:
            if case .running(let document) = facts.daemon, document.config.path != facts.configPath {
                return Finding(
                    .warn, "configuration",
                    "virt-tapd uses \(document.config.path.printable), this command looked at \(path)",
                    remedy: "use --config \(document.config.path.printable)")
            }
            if case .running(let document) = facts.daemon, document.config.stale {
                return Finding(
                    .warn, "configuration",
                    "\(path) is valid, but virt-tapd "
                        + (document.config.loaded == nil ? "has not read it yet" : "still uses the one before it"),
                    remedy: "systemctl reload virt-tapd")
            }
            guard facts.configExists else {
                return Finding(
                    .warn, "configuration", "\(path) does not exist, so there is no destination to copy to",
                    remedy:
                        "write one: \(Documentation.path("reference/configuration.md").printable) has examples, virt-tap check checks it")
            }
            return Finding(.ok, "configuration", "\(path): valid")
        }
    }

    private static func daemon(_ facts: HostFacts) -> Finding {
        switch facts.daemon {
        case .notRunning:
            return Finding(
                .fail, "virt-tapd", "not running: what is attached goes on copying, nothing new is attached",
                remedy: "systemctl enable --now virt-tapd.socket virt-tapd")
        case .silent:
            return Finding(
                .fail, "virt-tapd", "does not answer: it hangs, or the host is overloaded. What is attached goes on copying",
                remedy: "systemctl restart virt-tapd, which harms no tap")
        case .unreachable(let why):
            return Finding(facts.user == 0 ? .fail : .unknown, "virt-tapd", why.printable, remedy: facts.user == 0 ? nil : asRoot)
        case .running(let document):
            let version = document.daemon.version ?? "of unknown version"
            if document.daemon.paused == true {
                return Finding(.warn, "virt-tapd", "paused by `virt-tap purge --now`", remedy: "systemctl reload virt-tapd")
            }
            if document.daemon.connected == false {
                return Finding(
                    .fail, "virt-tapd", "\(version.printable), running, but not connected to libvirt", remedy: "see libvirt above")
            }
            if version != virtTapVersion {
                return Finding(
                    .warn, "virt-tapd", "\(version.printable) is running, this command is \(virtTapVersion)",
                    remedy: "systemctl restart virt-tapd")
            }
            return Finding(.ok, "virt-tapd", "\(version) running" + (document.daemon.pid.map { " as process \($0)" } ?? ""))
        }
    }

    /// What runs the guests here, or may.
    private static func libvirtDaemon(_ facts: HostFacts) -> String { facts.libvirtProcess?.name ?? "libvirtd (or virtqemud)" }

    /// Seconds. A process's start is known in ticks since a boot whose time is known in seconds.
    private static let clockError: Int64 = 2

    /// Without the hook nothing keeps a guest from starting without a tap that is required: then it is no blemish.
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
                "\(path) is missing: \(levelWithoutHook(facts) == .fail ? "required=\"yes\" keeps no guest from starting, " : "")taps are attached some 100 ms after a guest starts, and its first packets are not copied",
                remedy: "make install puts it there; then restart \(libvirtDaemon(facts)), which looks for hooks when it starts")
        case .notExecutable:
            return Finding(
                levelWithoutHook(facts), "hook", "\(path) is not executable, so libvirt passes it over", remedy: "chmod 755 \(path)")
        case .installed where !facts.hasTimeout:
            return Finding(
                levelWithoutHook(facts), "hook", "timeout(1) is missing, without which the hook does nothing",
                remedy: "install coreutils, or busybox's timeout")
        case .installed where facts.hasHookTimedOut:
            return Finding(
                .warn, "hook",
                "virt-tap did not end in time when the hook called it, less than five minutes ago: no guest is kept from starting meanwhile, "
                    + "and its first packets may not be copied",
                remedy: "see whether `virt-tap --version` ends, and what the host is so busy with")
        case .installed(let since):
            if case .running(let document) = facts.daemon, let missed = document.hook.missed { return uncalled(since: missed, facts) }
            if case .running(let document) = facts.daemon, let seen = document.hook.seen {
                return Finding(.ok, "hook", "installed, last seen \(seen)")
            }
            if let process = facts.libvirtProcess, process.started.seconds + clockError < since.seconds {
                return Finding(
                    .warn, "hook", "\(path) was installed after \(process.name) started, which looks for hooks only then",
                    remedy: "systemctl restart \(process.name): guests keep running")
            }
            if case .running = facts.daemon {
                return Finding(.ok, "hook", "installed; not seen by this virt-tapd yet, it will be at the next start of a guest")
            }
            return Finding(.ok, "hook", "installed")
        }
    }

    /// It is there, and a guest started without it.
    private static func uncalled(since missed: Timestamp, _ facts: HostFacts) -> Finding {
        let daemon = libvirtDaemon(facts)
        return Finding(
            levelWithoutHook(facts), "hook",
            "\(HookInstallation.path) is installed, and \(daemon) started a guest at \(missed), and did not call it "
                + "(\(Reason.hookNotCalled.rawValue)): required=\"yes\" keeps no guest from starting, and first packets are not copied",
            remedy: "systemctl restart \(daemon), which looks for hooks when it starts: guests keep running. If no call comes at the next "
                + "start of a guest either: libvirt is older than 6.5, or sees another /etc/libvirt (in a container), or may not run the script "
                + "(SELinux, AppArmor), or virt-tap does not end in time when the script runs it")
    }

    private static func destinations(_ facts: HostFacts) -> [Finding] {
        facts.destinations.map { destination in
            let subject = "destination \(destination.name.printable)"
            if destination.state == .active, let way = destination.routeWarnings.first {
                return Finding(.warn, subject, "\(way.message.printable) (\(way.reason.rawValue))")
            }
            if destination.state == .active { return Finding(.ok, subject, "\(destination.kind.rawValue), takes copies") }
            return Finding(
                destination.state == .pending ? .unknown : .fail, subject,
                (destination.explanation ?? "does not take copies").printable
                    + (destination.reason.map { " (\($0.rawValue))" } ?? ""))
        }
    }

    /// That all of the above is well does not mean that copies are made.
    private static func taps(_ facts: HostFacts) -> [Finding] {
        guard case .running(let document) = facts.daemon else { return [] }
        let taps = document.taps.filter { $0.running != false }
        let broken = taps.filter { [.failed, .denied, .degraded, .unsupported].contains($0.state) }
        guard let first = broken.first else {
            return taps.isEmpty ? [] : [Finding(.ok, "taps", "none of \(taps.count) has failed")]
        }
        let reason = first.reason.map { " (\($0.rawValue))" } ?? ""
        let verb = broken.count == 1 ? "does" : "do"
        let text = "\(broken.count) of \(taps.count) \(verb) not work, such as \(first.domain.printable)/\(first.name)\(reason)"
        return [Finding(.warn, "taps", text, remedy: "virt-tap status says why of each")]
    }

    private static func mark(_ facts: HostFacts) -> Finding {
        let mark = (try? facts.configuration.get())?.mark ?? PacketMark()
        if case .running(let document) = facts.daemon {
            let warned = document.taps.filter { $0.warnings.contains { $0.reason == .foreignMark } }
            if let first = warned.first, facts.markUsers?.isEmpty != false {
                return Finding(
                    .warn, "mark",
                    "frames that are no copies have \(mark), such as those of \(first.domain.printable)/\(first.name) "
                        + "(\(Reason.foreignMark.rawValue)), and no tool here says who gives it to them",
                    remedy:
                        "look for eBPF programs and sockets (SO_MARK) that set marks, or choose others with <mark value=\"…\" mask=\"…\"/>")
            }
        }
        guard let users = facts.markUsers else {
            return Finding(
                .unknown, "mark", "whether others use the mark \(mark) cannot be known: no ip, nft or iptables-save that answers")
        }
        guard let first = users.first else { return Finding(.ok, "mark", "no rule of others uses \(mark)") }
        let more = users.count > 1 ? " and \(users.count - 1) more" : ""
        return Finding(
            .warn, "mark", "\(mark) is used by others: \(first.printable)\(more)",
            remedy: "choose bits that are free with <mark value=\"…\" mask=\"…\"/>: marked frames of guests are not copied")
    }
}
