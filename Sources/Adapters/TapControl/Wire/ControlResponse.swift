// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The daemon's answer.
public struct ControlResponse: Hashable, Sendable {
    /// `nil`: done. Else one sentence that says what happened and what to do.
    public var error: String?
    /// The code that goes with `error`, where there is one.
    public var reason: Reason?
    /// Only to `hook`.
    public var hook: HookAnswer?
    /// Only to `purge`: how many attachments there were.
    public var removed: Int?
    /// Only to `reload`: what there is to know, a line each; when it was refused, everything that is wrong.
    public var lines: [String] = []
    /// To `status`, `test` and `examine`: the answer in JSON. Else empty.
    public var body: [UInt8]
    /// The version of the program that answered; set by the client's side.
    public internal(set) var version: String?

    public var isOK: Bool { error == nil }

    /// The answer, if the daemon did what it was asked for.
    /// - Throws: `refused`.
    public func accepted() throws(ControlError) -> ControlResponse {
        if let error { throw .refused(error) }
        return self
    }

    /// Done.
    public init(body: [UInt8] = [], hook: HookAnswer? = nil, removed: Int? = nil, lines: [String] = []) {
        self.body = body
        self.hook = hook
        self.removed = removed
        self.lines = lines
    }

    /// Not done, and why.
    public init(error: String, reason: Reason? = nil, lines: [String] = []) {
        self.error = error
        self.reason = reason
        self.lines = lines
        body = []
    }

    /// Not done, and why.
    public init(_ failure: Failure) {
        self.init(error: failure.message, reason: failure.reason)
    }
}
