// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Hypervisor
import TapModel

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
