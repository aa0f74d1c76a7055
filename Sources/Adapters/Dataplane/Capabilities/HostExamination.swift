// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

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
