// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why something is not as it was wished: a stable code and a sentence that says what happened and what to do.
///
/// Thrown by whatever does I/O for a tap, and carried unchanged into the status document, the log and the hook's
/// answer, so that all three say the same.
public struct Failure: Error, Hashable, Sendable {
    public var reason: Reason
    /// One sentence or two, for the operator: which thing, what happened (errno, limits, both numbers), what to do.
    /// May hold names as libvirt has them: printed, it goes through `printable`.
    public var message: String

    public init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    /// The state of what has failed so.
    public var state: TapState { reason.state ?? .failed }

    static let switchedOff = Failure(.disabledByMetadata, "switched off by enabled=\"no\" in the domain's metadata")
}

extension Failure: CustomStringConvertible {
    public var description: String { "\(reason.rawValue): \(message)" }
}
