// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import FoundationEssentials
import TapControl
import TapHost
import TapModel

/// Gets a status document: from the daemon, else from what the kernel holds.
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

    /// What was found out, and what there is to say about it.
    struct Answer {
        var document: StatusDocument
        /// Whether there is a daemon that does not answer.
        var isSilent = false
        /// Set when no daemon answers.
        var complaints: [String] = []
        /// Whether the document says what there is: false when there is no daemon and the kernel cannot be read either.
        var isKnown = true
    }

    private static let patience: Duration = .seconds(5)

    /// - Throws: when there is a daemon and it cannot be asked or understood.
    func read() throws(CommandFailure) -> Answer {
        do throws(ControlError) {
            return Answer(document: try ask())
        } catch .notRunning(let path) {
            return withoutDaemon("virt-tapd is not running (nobody listens at \(path.printable)); this is what the kernel holds")
        } catch .timedOut {
            var answer = withoutDaemon(
                "virt-tapd does not answer at \(directory.controlSocket.printable) within \(Self.patience.components.seconds) s: it hangs, or the "
                    + "host is overloaded. `systemctl restart virt-tapd` harms no tap; this is what the kernel holds")
            answer.isSilent = true
            return answer
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
    }

    /// The daemon's own document.
    /// - Parameter patience: how long it has for its answer.
    func ask(within patience: Duration = patience) throws(ControlError) -> StatusDocument {
        try decode(try response(within: patience).accepted())
    }

    private func response(within patience: Duration) throws(ControlError) -> ControlResponse {
        do {
            return try ControlClient(path: directory.controlSocket).send(.status, within: patience)
        } catch .notPermitted(let path, _) {
            // Whoever is not root may be in the group that reads status.
            do {
                return try ControlClient(path: directory.statusSocket).send(.status, within: patience)
            } catch .notRunning, .notPermitted {
                throw .notPermitted(
                    path: path,
                    what:
                        "only root may ask here, and no status socket is open to this user; <control group=\"…\"/> makes one"
                )
            }
        }
    }

    private func decode(_ response: ControlResponse) throws(ControlError) -> StatusDocument {
        do {
            return try JSONDecoder().decode(StatusDocument.self, from: Data(response.body))
        } catch {
            throw .malformed(
                "the status document of virt-tapd \(response.version?.printable ?? "") is not one that virt-tap \(virtTapVersion) reads;"
                    + " are they of different versions?")
        }
    }

    /// What can be known from the pins. Reading them needs root.
    private func withoutDaemon(_ why: String) -> Answer {
        let host = StatusDocument.Host(name: HostIdentity.name, kernel: HostIdentity.kernel, libvirt: nil)
        var complaints = [why]
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
            complaints.append("what the kernel copies cannot be read: \(error.message.printable)")
        }
        return Answer(
            document: .withoutDaemon(
                host: host, configPath: configPath, hookInstalled: HookInstallation.isInstalled(), kernel: kernel, devices: devices),
            complaints: complaints, isKnown: isKnown)
    }
}

/// Which taps of a document are asked for.
struct StatusSelection: Hashable {
    /// Names or UUIDs; empty: every domain.
    var domains: [String] = []
    /// Also those of domains that do not run. Domains that are named are shown in any case.
    var includesShutOff = false

    /// The document with nothing but the taps asked for. A domain without taps is not in a status document, so a name
    /// that is not there can be a domain's all the same.
    /// - Throws: when a domain that was named has no tap. With no daemon nobody can say so, and nothing is thrown.
    func apply(to document: StatusDocument) throws(CommandFailure) -> StatusDocument {
        var selected = document
        guard !domains.isEmpty else {
            if !includesShutOff { selected.taps.removeAll { $0.running == false } }
            return selected
        }
        let unknown = self.unknown(in: document)
        if !unknown.isEmpty, document.daemon.complete == false {
            let names = unknown.map { "\"\($0.printable)\"" }.joined(separator: ", ")
            throw CommandFailure(.failure, "whether there is a tap of \(names) is not known yet: \(StatusNotes.ignorance(document.daemon))")
        }
        guard unknown.isEmpty || !document.daemon.running else {
            let names = Set(document.taps.map(\.domain)).sorted()
            throw CommandFailure(
                .failure,
                lines: unknown.map { name in
                    "\"\(name.printable)\" has no tap, or there is no domain of that name"
                        + (name.allSatisfy(\.isNumber) ? "; here a domain goes by name or UUID, not by libvirt's number" : "")
                        // Not "did you mean": the one that was named may be there.
                        + (NearestName.of(name, among: names).map { "; \"\($0.printable)\" has one" } ?? " (`virsh list --all`)")
                })
        }
        selected.taps.removeAll { tap in !domains.contains { Self.matches(tap, $0) } }
        return selected
    }

    /// What was named and has no tap in the document.
    func unknown(in document: StatusDocument) -> [String] {
        domains.filter { domain in !document.taps.contains { Self.matches($0, domain) } }
    }

    private static func matches(_ tap: TapStatus, _ domain: String) -> Bool {
        // Scalar by scalar: two names that only look alike are two domains.
        tap.domain.unicodeScalars.elementsEqual(domain.unicodeScalars) || DomainUUID(domain) == tap.uuid
    }
}

/// The rule of `status --check`.
enum StatusHealth {
    /// Seconds that a daemon may take until libvirt has told it which domains there are.
    static let patience: Int64 = 60

    /// Whether the daemon has not known for so long what taps there are that nobody should take it for healthy.
    static func isBlind(_ daemon: StatusDocument.Daemon, at now: Timestamp) -> Bool {
        daemon.complete == false && daemon.since.map { now.seconds - $0.seconds > patience } ?? false
    }

    /// Whether any tap does not do what it is there for, or none can be placed for want of a configuration.
    static func isUnhealthy(_ document: StatusDocument, at now: Timestamp) -> Bool {
        if document.daemon.running, document.config.stale, document.config.loaded == nil { return true }
        if isBlind(document.daemon, at: now) { return true }
        return document.taps.contains { isUnhealthy($0, at: now) }
    }

    private static func isUnhealthy(_ tap: TapStatus, at now: Timestamp) -> Bool {
        switch tap.state {
        case .active, .disabled: return false
        case .failed, .denied, .unsupported: return true
        case .pending: return tap.running != false && outlasts(tap.reason, tap, at: now)
        case .degraded:
            // One that only waits for an interface, which was added a moment ago, is in no other case than one that waits for all.
            let others = tap.interfaces.filter { $0.state != .active }
            guard !others.isEmpty, others.allSatisfy({ $0.state == .pending }) else { return true }
            return others.contains { outlasts($0.reason, tap, at: now) }
        }
    }

    /// Whether a tap has waited longer than what it waits for takes to pass by itself.
    private static func outlasts(_ reason: Reason?, _ tap: TapStatus, at now: Timestamp) -> Bool {
        guard let patience = reason.map(\.patience) ?? patience, let since = tap.stateSince else { return false }
        return now.seconds - since.seconds > patience
    }
}
