// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
public import TapModel
import TapSystem

/// What one process can do for the data path with its rights: virt-tapd itself, or a child that has virt-tapd's rights. Goes over the
/// control socket as JSON.
public struct HostExamination: Hashable, Sendable {
    public var findings: [CapabilityFinding]
    /// How the process would attach programs.
    public var mechanism: Result<Mechanism, Failure>
    /// Why a test filter could not be compiled; `nil` when it was compiled.
    public var filters: Failure?

    public init(findings: [CapabilityFinding], mechanism: Result<Mechanism, Failure>, filters: Failure?) {
        self.findings = findings
        self.mechanism = mechanism
        self.filters = filters
    }
}

extension KernelDataplane {
    /// Examines this process. Changes nothing, and blocks the calling thread for some tens of milliseconds.
    /// - Parameter filters: why a test filter could not be compiled; the caller tries that.
    public func examination(choice: MechanismChoice, filters: Failure?) -> HostExamination {
        let mechanism = Result { () throws(Failure) in try self.mechanism(for: choice) }
        return HostExamination(findings: capabilities(), mechanism: mechanism, filters: filters)
    }
}

extension HostExamination: Codable {
    private struct Finding: Codable {
        var subject: String
        var answer: String
        var why: String?
        var minimumKernel: String?

        enum CodingKeys: String, CodingKey {
            case subject, answer, why
            case minimumKernel = "minimum_kernel"
        }

        init(_ finding: CapabilityFinding) {
            subject = finding.subject.rawValue
            switch finding.answer {
            case .yes: answer = "yes"
            case .no(let why, let minimum): (answer, self.why, minimumKernel) = ("no", why, minimum)
            case .unknown(let why): (answer, self.why) = ("unknown", why)
            }
        }

        /// `nil` for a subject of a later version.
        var finding: CapabilityFinding? {
            guard let subject = CapabilityFinding.Subject(rawValue: subject) else { return nil }
            switch answer {
            case "yes": return CapabilityFinding(subject, .yes)
            case "no": return CapabilityFinding(subject, .no(why: why ?? "", minimumKernel: minimumKernel))
            default: return CapabilityFinding(subject, .unknown(why: why ?? ""))
            }
        }
    }

    private struct Problem: Codable {
        var reason: String
        var message: String

        init(_ failure: Failure) { (reason, message) = (failure.reason.rawValue, failure.message) }

        /// A reason of a later version counts as `attach-failed`.
        var failure: Failure { Failure(Reason(rawValue: reason) ?? .attachFailed, message) }
    }

    private enum CodingKeys: String, CodingKey {
        case findings, mechanism, filters
        case mechanismFailure = "mechanism_failure"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        findings = try container.decode([Finding].self, forKey: .findings).compactMap(\.finding)
        if let problem = try container.decodeIfPresent(Problem.self, forKey: .mechanismFailure) {
            mechanism = .failure(problem.failure)
        } else {
            mechanism = .success(try container.decode(Mechanism.self, forKey: .mechanism))
        }
        filters = try container.decodeIfPresent(Problem.self, forKey: .filters)?.failure
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(findings.map(Finding.init), forKey: .findings)
        switch mechanism {
        case .success(let mechanism): try container.encode(mechanism, forKey: .mechanism)
        case .failure(let failure): try container.encode(Problem(failure), forKey: .mechanismFailure)
        }
        try container.encodeIfPresent(filters.map(Problem.init), forKey: .filters)
    }
}

/// One thing that this host can or cannot do for the data path, as `virt-tap doctor` shows it.
public struct CapabilityFinding: Hashable, Sendable {
    public enum Subject: String, CaseIterable, Sendable {
        /// A BPF file system is mounted for the pins and can be written to.
        case bpffs
        /// CAP_BPF and CAP_NET_ADMIN are in this process's effective set.
        case privileges
        /// The copying program passes the kernel's verifier.
        case programs
        /// So do the programs of the relay, which truncate and encapsulate copies and resolve their offloads.
        /// The value is that of the control protocol, from before the relay had its name.
        case relay = "hop"
        /// Programs are compiled to machine code.
        case jit
        /// The kernel attaches programs by TCX.
        case tcx
        /// The kernel has the qdisc clsact and its filters for eBPF.
        case clsact
        /// The kernel has veth devices, of which the relay is made.
        case cutting
        /// The kernel describes its own types (BTF), which monitor ports and the relay need.
        case btf
    }

    public enum Answer: Hashable, Sendable {
        case yes
        /// - Parameters:
        ///   - why: the cause and what to do, for the operator.
        ///   - minimumKernel: the first Linux version that can do it, where the version is the cause.
        case no(why: String, minimumKernel: String? = nil)
        /// It could not be determined, mostly for lack of privileges.
        case unknown(why: String)
    }

    /// The subjects whose answer depends on the process's rights, and not on the kernel alone.
    public static let ofRights: Set<Subject> = [.bpffs, .privileges, .programs, .relay, .jit, .tcx]

    public var subject: Subject
    public var answer: Answer

    public init(_ subject: Subject, _ answer: Answer) {
        self.subject = subject
        self.answer = answer
    }
}

/// The capabilities that the installed unit gives virt-tapd.
///
/// packaging/systemd/virt-tapd.service gives them, in CapabilityBoundingSet; a test compares the two.
public enum DaemonRights {
    public struct Capability: Hashable, Sendable {
        /// The name in capabilities(7).
        public let name: String
        /// The number in linux/capability.h.
        let number: Int32
    }

    public static let capabilities = [
        Capability(name: "CAP_BPF", number: 39), Capability(name: "CAP_KILL", number: 5), Capability(name: "CAP_NET_ADMIN", number: 12),
        Capability(name: "CAP_NET_RAW", number: 13), Capability(name: "CAP_PERFMON", number: 38),
        Capability(name: "CAP_SETGID", number: 6), Capability(name: "CAP_SETUID", number: 7),
    ]

    /// Gives up all other capabilities for good, for the calling thread and the programs that it executes. Does not do what else the
    /// unit does, such as restricting system calls and the file system.
    /// - Throws: `permission-denied`, mostly for lack of CAP_SETPCAP.
    public static func lower() throws(Failure) {
        let kept = capabilities.reduce(UInt64(0)) { $0 | 1 << UInt64($1.number) }
        let code = clibbpf_keep_capabilities(kept)
        guard code == 0 else { throw Failure(.permissionDenied, "could not give up capabilities: \(ErrorText.of(-code))") }
    }
}
