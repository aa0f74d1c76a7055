// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Dataplane
import Hypervisor
import TapModel

/// `virt-tap doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check whether this host can copy traffic, and say what to do if it cannot.",
        discussion: "Run it as root. It changes nothing, and exits with 1 if a check fails.")

    @OptionGroup var paths: PathOptions

    func run() async throws {
        let findings = Diagnosis.findings(await Examination(paths: paths).facts())
        try Output.write(Finding.text(findings, for: .current()))
        if findings.contains(where: { $0.level == .fail }) { throw CommandFailure(.failure) }
    }
}

/// The facts about this host that `Diagnosis` judges.
struct HostFacts {
    /// The answer of virt-tapd.
    enum Daemon {
        case running(StatusDocument)
        case notRunning
        /// It accepts connections and does not answer.
        case silent
        /// It cannot be asked, with the reason.
        case unreachable(String)
    }

    /// The state of the hook's script.
    enum Hook: Equatable {
        case missing
        case notExecutable
        /// It is installed and executable, since a time.
        case installed(since: Timestamp)
    }

    var kernel: String
    var choice: MechanismChoice = .auto
    var mechanism: Result<Mechanism, Failure>
    var bpffs: String
    /// The number of pinned attachments.
    var attachments: Result<Int, Failure>
    /// Capabilities of the host with the rights of this process.
    var capabilities: [CapabilityFinding]
    /// The examination with virt-tapd's rights.
    var rights: RightsBasis
    /// The most frames that may wait per processor: net.core.netdev_max_backlog; `nil`: not known.
    var backlog: Int?
    /// Why a filter could not be compiled with the rights of this process; `nil`: it was compiled.
    var filters: Failure?
    var libvirt: LibvirtReport
    var hook: Hook
    /// Whether a call of virt-tap by the hook timed out less than five minutes ago.
    var hasHookTimedOut = false
    /// Whether timeout(1) is where the hook's script looks for it.
    var hasTimeout = true
    /// The effective user ID of this process; 0 may read everything.
    var user: UInt32 = 0
    /// The process of libvirt's daemon; `nil`: not found.
    var libvirtProcess: LibvirtProcess?
    var daemon: Daemon
    var configPath: String
    var configExists: Bool
    /// The configuration, or its errors.
    var configuration: Result<HostConfiguration, ConfigurationProblem>
    /// The destinations as virt-tapd reports them, else as they are now.
    var destinations: [DestinationStatus]
    /// Rules of other programs that use our mark; `nil`: no tool could list rules.
    var markUsers: [String]?

    struct ConfigurationProblem: Error, Equatable {
        var lines: [String]
    }
}

/// One line of the doctor's output: the result of a check.
struct Finding: Hashable {
    enum Level: String {
        case ok
        /// It works, with a limitation to know.
        case warn
        /// Copying does not work, or not as configured.
        case fail
        /// The check could not be made.
        case unknown
    }

    var level: Level
    var subject: String
    /// The result; printable.
    var message: String
    /// What to do; printable.
    var remedy: String?

    init(_ level: Level, _ subject: String, _ message: String, remedy: String? = nil) {
        self.level = level
        self.subject = subject
        self.message = message
        self.remedy = remedy
    }

    private var colour: Colour {
        switch level {
        case .ok: .green
        case .warn: .yellow
        case .fail: .red
        case .unknown: .faint
        }
    }

    static func text(_ findings: [Finding], for terminal: Terminal) -> String {
        let width = findings.map(\.subject.count).max() ?? 0
        return findings.map { finding in
            let label = finding.level.rawValue + String(repeating: " ", count: 7 - finding.level.rawValue.count)
            let head = terminal.isColoured ? finding.colour.paint(label) : label
            let subject = finding.subject + String(repeating: " ", count: width - finding.subject.count)
            let indent = String(repeating: " ", count: 9 + width + 2)
            let body = ([finding.message] + (finding.remedy.map { ["-> " + $0] } ?? [])).flatMap { text in
                DisplayWidth.wrap(text, to: terminal.width.map { $0 - indent.count }, indent: "")
            }
            return "\(head)  \(subject)  " + body.joined(separator: "\n" + indent) + "\n"
        }.joined()
    }
}
