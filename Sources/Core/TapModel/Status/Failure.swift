// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why something is not as it is desired: a stable code, what it is about, what happened and what to do.
///
/// Thrown by whatever does I/O for a tap, and carried unchanged into the status document, the log and the hook's answer, so that all
/// three say the same. The parts are kept apart, so that a reader who shows the subject anyway leaves it out without cutting text.
/// The parts may hold names as libvirt has them: printed, they go through `printable`.
public struct Failure: Error, Hashable, Sendable {
    /// The stable code.
    public var reason: Reason
    /// What has failed, such as `destination ids` or `tap "span" of web1 on vnet3`; `nil`: the detail says it.
    public var subject: String?
    /// What happened: errno, limits, both numbers.
    public var detail: String
    /// What to do about it, a clause without a full stop; `nil`: the detail says it, or there is nothing to do.
    public var advice: String?

    /// - Parameters:
    ///   - reason: the stable code.
    ///   - detail: what happened.
    ///   - advice: what to do about it.
    ///   - subject: what has failed.
    public init(_ reason: Reason, _ detail: String, advice: String? = nil, about subject: String? = nil) {
        self.reason = reason
        self.subject = subject
        self.detail = detail
        self.advice = advice
    }

    /// The whole sentence, for the log, the hook's answer and `message` of the status document: `subject: detail; advice`.
    public var message: String { (subject.map { "\($0): " } ?? "") + explanation }

    /// The sentence without its subject, for a place where the subject already stands.
    public var explanation: String { detail + (advice.map { "; \($0)" } ?? "") }

    /// The same failure of something that is named here. A failure that has a subject keeps it as part of the detail.
    public func about(_ subject: String) -> Failure {
        Failure(reason, self.subject.map { "\($0): \(detail)" } ?? detail, advice: advice, about: subject)
    }

    /// The state of what has failed so.
    public var state: TapState { reason.state ?? .failed }

    static let switchedOff = Failure(.disabledByMetadata, "switched off by enabled=\"no\" in the domain's metadata")
}

extension Failure: CustomStringConvertible {
    public var description: String { "\(reason.rawValue): \(message)" }
}
