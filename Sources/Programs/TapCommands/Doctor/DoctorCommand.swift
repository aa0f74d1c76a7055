// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Dataplane
import Hypervisor
import TapModel

/// `virt-tap doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Says what this host can and cannot do, and what to do about it.",
        discussion: "Changes nothing. Exits with 1 when something fails.")

    @OptionGroup var paths: PathOptions

    func run() async throws {
        let findings = Diagnosis.findings(await Examination(paths: paths).facts())
        try Output.write(Finding.text(findings, for: .current()))
        if findings.contains(where: { $0.level == .fail }) { throw CommandFailure(.failure) }
    }
}

/// What the doctor found out; judged by `Diagnosis`.
struct HostFacts {
    /// How the daemon answered.
    enum Daemon {
        case running(StatusDocument)
        case notRunning
        /// It takes calls and does not answer.
        case silent
        /// Why it cannot be asked.
        case unreachable(String)
    }

    /// The hook's script.
    enum Hook: Equatable {
        case missing
        case notExecutable
        /// When it was put there.
        case installed(since: Timestamp)
    }

    var kernel: String
    var choice: MechanismChoice = .auto
    var mechanism: Result<Mechanism, Failure>
    var bpffs: String
    /// How many attachments are pinned.
    var attachments: Result<Int, Failure>
    /// By the rights of whoever asks.
    var capabilities: [CapabilityFinding]
    /// By virt-tapd's.
    var rights: JudgedRights
    /// How many frames may wait for each processor: net.core.netdev_max_backlog; `nil`: not known.
    var backlog: Int?
    /// What kept a filter from being compiled, by the rights of whoever asks; `nil`: it was compiled.
    var filters: Failure?
    var libvirt: LibvirtReport
    var hook: Hook
    /// Whether virt-tap did not end in time when the hook called it, a short while ago.
    var hasHookTimedOut = false
    /// Whether there is a timeout(1) where the hook's script looks for it.
    var hasTimeout = true
    /// The user who asks; 0 may see everything.
    var user: UInt32 = 0
    /// libvirt's daemon; `nil`: none was found.
    var libvirtProcess: LibvirtProcess?
    var daemon: Daemon
    var configPath: String
    var configExists: Bool
    /// The lines that say what is wrong, when it is.
    var configuration: Result<HostConfiguration, ConfigurationProblem>
    /// As they are now, when there is no daemon to say so.
    var destinations: [DestinationStatus]
    /// Rules of others that use our mark; `nil`: could not be asked.
    var markUsers: [String]?

    struct ConfigurationProblem: Error, Equatable {
        var lines: [String]
    }
}

/// One thing that the doctor looked at.
struct Finding: Hashable {
    enum Level: String {
        case ok
        /// Works, with a limit that one should know.
        case warn
        /// Copying does not work, or not as it should.
        case fail
        /// Could not be found out.
        case unknown
    }

    var level: Level
    var subject: String
    /// What was found; printable.
    var message: String
    /// What to do about it; printable.
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
