// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
public import TapModel
import TapSystem

/// What one process can do for the data path with the rights that it has: virt-tapd about itself, or a child with virt-tapd's rights in
/// its place. Goes over the control socket as JSON.
public struct HostExamination: Hashable, Sendable {
    public var findings: [CapabilityFinding]
    /// How it would attach.
    public var mechanism: Result<Mechanism, Failure>
    /// What kept a filter from being compiled; `nil`: it was compiled.
    public var filters: Failure?

    public init(findings: [CapabilityFinding], mechanism: Result<Mechanism, Failure>, filters: Failure?) {
        self.findings = findings
        self.mechanism = mechanism
        self.filters = filters
    }
}

extension KernelDataplane {
    /// Looks, changes nothing, and takes some tens of milliseconds, all of it on the calling thread.
    /// - Parameter filters: what became of a filter, which others compile.
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

        /// `nil` for what a later version looks at.
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

        /// A reason that is not known here is some reason all the same.
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
        /// A BPF file system is mounted where pins go, and may be written to.
        case bpffs
        /// CAP_BPF and CAP_NET_ADMIN are in this process's effective set.
        case privileges
        /// The copying program passes the kernel's verifier.
        case programs
        /// So do the programs that cut, wrap and finish copies.
        case relay
        /// Programs are compiled to machine code.
        case jit
        case tcx
        case clsact
        /// The kind of device on which copies are cut: veth.
        case cutting
        /// The kernel describes its own types, by which our numbers for TCX can be checked.
        case btf
    }

    public enum Answer: Hashable, Sendable {
        case yes
        /// - Parameters:
        ///   - why: and what to do, for the operator.
        ///   - minimumKernel: the first Linux that can do it, where that is the cause.
        case no(why: String, minimumKernel: String? = nil)
        /// It could not be found out, mostly for want of privileges.
        case unknown(why: String)
    }

    /// What depends on the rights of whoever asks, and not on the kernel alone.
    public static let ofRights: Set<Subject> = [.bpffs, .privileges, .programs, .relay, .jit, .tcx]

    public var subject: Subject
    public var answer: Answer

    public init(_ subject: Subject, _ answer: Answer) {
        self.subject = subject
        self.answer = answer
    }
}

/// The capabilities that virt-tapd has as it is installed.
///
/// packaging/systemd/virt-tapd.service gives them, in CapabilityBoundingSet; a test compares the two.
public enum DaemonRights {
    public struct Capability: Hashable, Sendable {
        /// As capabilities(7) has it.
        public let name: String
        /// Of linux/capability.h.
        let number: Int32
    }

    public static let capabilities = [
        Capability(name: "CAP_BPF", number: 39), Capability(name: "CAP_KILL", number: 5), Capability(name: "CAP_NET_ADMIN", number: 12),
        Capability(name: "CAP_NET_RAW", number: 13), Capability(name: "CAP_PERFMON", number: 38),
        Capability(name: "CAP_SETGID", number: 6), Capability(name: "CAP_SETUID", number: 7),
    ]

    /// Gives up all others, for the calling thread and for whatever it executes, for good. What the unit takes away besides, such as
    /// system calls and parts of the file system, stays.
    /// - Throws: `permission-denied` to whoever may not, mostly for want of CAP_SETPCAP.
    public static func lower() throws(Failure) {
        let kept = capabilities.reduce(UInt64(0)) { $0 | 1 << UInt64($1.number) }
        let code = clibbpf_keep_capabilities(kept)
        guard code == 0 else { throw Failure(.permissionDenied, "giving up capabilities: \(ErrorText.of(-code))") }
    }
}
