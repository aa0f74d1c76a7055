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
