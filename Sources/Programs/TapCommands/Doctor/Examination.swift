// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import FilterCompiler
import FoundationEssentials
import Glibc
import Hypervisor
import TapControl
import TapHost
import TapModel

/// Reads the facts. Changes nothing.
struct Examination {
    var paths: PathOptions

    func facts() async -> HostFacts {
        let configuration: Result<HostConfiguration, HostFacts.ConfigurationProblem>
        do {
            configuration = .success(try ConfigurationFile(path: paths.config).load())
        } catch {
            configuration = .failure(HostFacts.ConfigurationProblem(lines: error.lines))
        }
        let inForce = (try? configuration.get()) ?? HostConfiguration()
        let dataplane = KernelDataplane(bpffs: paths.bpffs)
        let mechanism = Self.result { () throws(Failure) in try dataplane.mechanism(for: inForce.mechanism) }
        let daemon = daemon()
        let rights = rights(daemon, inForce.mechanism)
        return HostFacts(
            kernel: HostIdentity.kernel, choice: inForce.mechanism, mechanism: mechanism, bpffs: paths.bpffs,
            attachments: Self.result { () throws(Failure) in try dataplane.attachments().count }, capabilities: dataplane.capabilities(),
            rights: rights, backlog: Self.backlog(),
            filters: await FilterCompiler.selfTest(), libvirt: await LibvirtReport.read(uri: paths.connect ?? inForce.libvirtURI),
            hook: hook(),
            hasHookTimedOut: HookInstallation.hasTimedOut(in: paths.runtimeDirectory.path),
            hasTimeout: ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].contains { access("\($0)/timeout", X_OK) == 0 }, user: geteuid(),
            libvirtProcess: LibvirtProcess.read(),
            daemon: daemon, configPath: paths.config, configExists: access(paths.config, F_OK) == 0, configuration: configuration,
            destinations: await destinations(inForce, daemon), markUsers: MarkUsage.read(inForce.mark))
    }

    /// net.core.netdev_max_backlog; `nil` in network namespaces other than the initial one, which do not have it.
    private static func backlog() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/sys/net/core/netdev_max_backlog", encoding: .utf8) else { return nil }
        return Int(text.filter(\.isNumber))
    }

    private static func result<Value>(_ body: () throws(Failure) -> Value) -> Result<Value, Failure> {
        do {
            return .success(try body())
        } catch {
            return .failure(error)
        }
    }

    /// How long virt-tapd may take to answer: it loads programs and compiles a filter for it.
    private static let timeout: Duration = .seconds(10)

    private func rights(_ daemon: HostFacts.Daemon, _ choice: MechanismChoice) -> RightsBasis {
        let client = ControlClient(path: paths.runtimeDirectory.controlSocket)
        let ask: () throws(ControlError) -> ControlResponse = { () throws(ControlError) in
            try client.send(.examine, within: Self.timeout)
        }
        var isRunning = false
        if case .running = daemon { isRunning = true }
        return RightsBasis.examine(isRoot: geteuid() == 0, ask: isRunning ? ask : nil) {
            ExaminationChild.examination(bpffs: paths.bpffs, choice: choice)
        }
    }

    private func hook() -> HostFacts.Hook {
        var status = stat()
        guard stat(HookInstallation.path, &status) == 0 else { return .missing }
        guard HookInstallation.isInstalled() else { return .notExecutable }
        return .installed(since: Timestamp(seconds: Int64(status.st_ctim.tv_sec)))
    }

    private func daemon() -> HostFacts.Daemon {
        do throws(CommandFailure) {
            let answer = try StatusReader(paths: paths).read()
            if answer.isSilent { return .silent }
            return answer.document.daemon.running ? .running(answer.document) : .notRunning
        } catch {
            return .unreachable(error.lines.joined(separator: "; "))
        }
    }

    private func destinations(_ configuration: HostConfiguration, _ daemon: HostFacts.Daemon) async -> [DestinationStatus] {
        if case .running(let document) = daemon { return document.destinations }
        var host = ThisHost(configuration, bpffs: paths.bpffs)
        await host.readSensors(connect: paths.connect)
        return configuration.destinations.map { DestinationStatus($0, on: host.state) }
    }
}

/// The process of libvirt's daemon, read from proc(5).
struct LibvirtProcess: Equatable {
    /// `libvirtd`, or `virtqemud` where libvirt's daemons are modular.
    var name: String
    /// The daemon uses only the hooks that it found at this time.
    var started: Timestamp

    /// Reads which daemon in this mount namespace clients connect to; `nil`: none.
    ///
    /// A client prefers virtqemud if both run. Of two processes with the same name the older is the daemon, and the other one its child.
    static func read() -> LibvirtProcess? {
        guard let boot = bootTime(), let own = namespace("self"),
            let entries = try? FileManager.default.contentsOfDirectory(atPath: "/proc")
        else { return nil }
        let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
        var times: [String: Int64] = [:]
        for entry in entries {
            guard Int32(entry) != nil, namespace(entry) == own, let text = read("/proc/\(entry)/stat"),
                let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
            else { continue }
            let name = String(text[text.index(after: open)..<close])
            guard names.contains(name) else { continue }
            // The name may contain spaces, so fields are counted behind it: starttime is the 22nd field, the 20th of these.
            let fields = text[text.index(after: close)...].split(separator: " ")
            guard fields.count > 19, let start = Int64(fields[19]) else { continue }
            times[name] = min(boot + start / ticks, times[name] ?? .max)
        }
        for name in names {
            if let seconds = times[name] { return LibvirtProcess(name: name, started: Timestamp(seconds: seconds)) }
        }
        return nil
    }

    private static let names = ["virtqemud", "libvirtd"]

    private static func bootTime() -> Int64? {
        read("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Int64($0.dropFirst(6)) }
    }

    private static func namespace(_ process: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/mnt")
    }

    private static func read(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
