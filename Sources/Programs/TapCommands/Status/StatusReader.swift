// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import FoundationEssentials
import TapControl
import TapHost
import TapModel

/// Reads the status document from virt-tapd, or makes one from the pins if virt-tapd does not answer.
struct StatusReader {
    var directory: RuntimeDirectory
    var bpffs: String
    var configPath: String

    init(directory: RuntimeDirectory, bpffs: String, configPath: String) {
        self.directory = directory
        self.bpffs = bpffs
        self.configPath = configPath
    }

    init(paths: PathOptions) {
        self.init(directory: paths.runtimeDirectory, bpffs: paths.bpffs, configPath: paths.config)
    }

    /// A status document and how it came about.
    struct Answer {
        var document: StatusDocument
        /// Whether virt-tapd is running and does not answer.
        var isSilent = false
        /// Says that virt-tapd does not answer, and what could not be read; empty when it answers.
        var messages: [String] = []
        /// Whether the document is complete as far as the kernel goes; false if neither virt-tapd nor the pins could be read.
        var isKnown = true
    }

    private static let timeout: Duration = .seconds(5)

    /// - Throws: if virt-tapd is running and refuses the request, or its answer is not understood.
    func read() throws(CommandFailure) -> Answer {
        do throws(ControlError) {
            return Answer(document: try readFromDaemon())
        } catch .notRunning(let path) {
            return withoutDaemon("virt-tapd is not running (nobody listens at \(path.printable)); this is what the kernel copies")
        } catch .timedOut {
            var answer = withoutDaemon(
                "virt-tapd does not answer at \(directory.controlSocket.printable) within \(Self.timeout.components.seconds) s: it hangs, or the "
                    + "host is overloaded; `systemctl restart virt-tapd` does not interrupt copying; this is what the kernel copies")
            answer.isSilent = true
            return answer
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
    }

    /// Reads virt-tapd's own document.
    /// - Parameter timeout: how long virt-tapd may take to answer.
    func readFromDaemon(within timeout: Duration = timeout) throws(ControlError) -> StatusDocument {
        try decode(try response(within: timeout).accepted())
    }

    private func response(within timeout: Duration) throws(ControlError) -> ControlResponse {
        do {
            return try ControlClient(path: directory.controlSocket).send(.status, within: timeout)
        } catch .notPermitted(let path, _) {
            // A user who is not root may be in the group that may read the status.
            do {
                return try ControlClient(path: directory.statusSocket).send(.status, within: timeout)
            } catch .notRunning, .notPermitted {
                throw .notPermitted(
                    path: path, what: "only root may read it; <control group=\"…\"/> in the configuration lets a group read the status")
            }
        }
    }

    private func decode(_ response: ControlResponse) throws(ControlError) -> StatusDocument {
        do {
            return try JSONDecoder().decode(StatusDocument.self, from: Data(response.body))
        } catch {
            throw .malformed(
                "virt-tap \(virtTapVersion) cannot read the status document of virt-tapd \(response.version?.printable ?? "(unknown version)"):"
                    + " install the same version of both, then `systemctl restart virt-tapd`")
        }
    }

    /// The document as far as the pins show it. Reading them needs root.
    private func withoutDaemon(_ why: String) -> Answer {
        let host = StatusDocument.Host(name: HostIdentity.name, kernel: HostIdentity.kernel, libvirt: nil)
        var messages = [why]
        var kernel = KernelView()
        var devices: DeviceTable?
        var isKnown = true
        do throws(Failure) {
            let dataplane = KernelDataplane(bpffs: bpffs)
            for attachment in try dataplane.attachments() {
                kernel.attachments[attachment.id] = attachment
                kernel.counters[attachment.id] = try? dataplane.counters(of: attachment.id)
            }
            kernel.destinations = try dataplane.destinations()
            devices = DeviceTable(try dataplane.devices())
        } catch {
            isKnown = false
            messages.append("cannot read what the kernel copies: \(error.message.printable)")
        }
        return Answer(
            document: .withoutDaemon(
                host: host, configPath: configPath, hookInstalled: HookInstallation.isInstalled(), kernel: kernel, devices: devices),
            messages: messages, isKnown: isKnown)
    }
}

/// Selects taps of a status document by domain.
struct StatusSelection: Hashable {
    /// Names or UUIDs of domains; empty: all domains.
    var domains: [String] = []
    /// Whether domains that do not run are included. Domains in `domains` always are.
    var includesShutOff = false

    /// The document with the selected taps only.
    ///
    /// A domain without taps is not in a status document, so a name that is not in it may be that of a domain all the same.
    /// - Throws: if a domain in `domains` has no tap. Without a daemon that is not known, and nothing is thrown.
    func apply(to document: StatusDocument) throws(CommandFailure) -> StatusDocument {
        var selected = document
        guard !domains.isEmpty else {
            if !includesShutOff { selected.taps.removeAll { $0.running == false } }
            return selected
        }
        let unknown = self.unknown(in: document)
        if !unknown.isEmpty, document.daemon.complete == false {
            let names = unknown.map { "\"\($0.printable)\"" }.joined(separator: ", ")
            throw CommandFailure(.failure, "the taps of \(names) are not known yet: \(StatusNotes.whyIncomplete(document.daemon))")
        }
        guard unknown.isEmpty || !document.daemon.running else {
            let names = Set(document.taps.map(\.domain)).sorted()
            throw CommandFailure(
                .failure,
                lines: unknown.map { name in
                    "domain \"\(name.printable)\" has no tap or does not exist"
                        + (name.allSatisfy(\.isNumber) ? "; use its name or UUID, not libvirt's number" : "")
                        // Not "did you mean": the domain with the given name may exist.
                        + (NearestName.of(name, among: names).map { "; domain \"\($0.printable)\" has one" }
                            ?? "; `virsh list --all` shows the domains")
                })
        }
        selected.taps.removeAll { tap in !domains.contains { Self.matches(tap, $0) } }
        return selected
    }

    /// Those of `domains` that have no tap in the document.
    func unknown(in document: StatusDocument) -> [String] {
        domains.filter { domain in !document.taps.contains { Self.matches($0, domain) } }
    }

    private static func matches(_ tap: TapStatus, _ domain: String) -> Bool {
        // Scalar by scalar: names that are equal for Unicode but differ in bytes belong to two domains.
        tap.domain.unicodeScalars.elementsEqual(domain.unicodeScalars) || DomainUUID(domain) == tap.uuid
    }
}

/// Decides what `status --check` reports as unhealthy.
enum StatusHealth {
    /// How many seconds virt-tapd may take until it knows all domains.
    static let timeout: Int64 = 60

    /// Whether virt-tapd has run for longer than `timeout` and still does not know all domains.
    static func lacksDomains(_ daemon: StatusDocument.Daemon, at now: Timestamp) -> Bool {
        daemon.complete == false && daemon.since.map { now.seconds - $0.seconds > timeout } ?? false
    }

    /// Whether a tap does not work, or virt-tapd cannot attach any because it has no configuration or does not know the domains.
    static func isUnhealthy(_ document: StatusDocument, at now: Timestamp) -> Bool {
        if document.daemon.running, document.config.stale, document.config.loaded == nil { return true }
        if lacksDomains(document.daemon, at: now) { return true }
        return document.taps.contains { isUnhealthy($0, at: now) }
    }

    private static func isUnhealthy(_ tap: TapStatus, at now: Timestamp) -> Bool {
        switch tap.state {
        case .active, .disabled: return false
        case .failed, .denied, .unsupported: return true
        case .pending: return tap.running != false && isOverdue(tap, because: tap.reason, at: now)
        case .degraded:
            // An interface that was added a moment ago is pending. A tap that waits for it is judged like one that waits for all.
            let others = tap.interfaces.filter { $0.state != .active }
            guard !others.isEmpty, others.allSatisfy({ $0.state == .pending }) else { return true }
            return others.contains { isOverdue(tap, because: $0.reason, at: now) }
        }
    }

    /// Whether a tap has been pending for longer than its reason should take to pass.
    private static func isOverdue(_ tap: TapStatus, because reason: Reason?, at now: Timestamp) -> Bool {
        guard let timeout = reason.map(\.patience) ?? timeout, let since = tap.stateSince else { return false }
        return now.seconds - since.seconds > timeout
    }
}
