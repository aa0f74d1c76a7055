// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The control protocol between virt-tap and virt-tapd: its number and limits.
///
/// A client sends one line of JSON, the header, and a body of as many bytes as the header's `length` says. The server
/// responds in the same form and closes. Both headers carry `protocol` and `version`. Keys that a side does not know
/// are ignored, so that programs of different versions understand each other. A change that cannot be ignored gets a new
/// number; the two sides then report the mismatch and do nothing.
public enum ControlProtocol {
    /// The version of the protocol.
    public static let number = 1
    /// The longest header, in bytes, the newline included.
    public static let maximumHeader = 64 * 1_024
    /// The longest body, in bytes: a hook call carries a domain's XML; a status document is smaller.
    public static let maximumBody = DomainSnapshot.maximumXML
    /// How long after the connection was accepted the whole request must have arrived.
    public static let requestTime: Duration = .seconds(5)
    /// How long after the response was ready the client must have read all of it.
    public static let answerTime: Duration = .seconds(5)
    /// How many clients are served at once per socket. Further clients get an error.
    public static let maximumClients = 32
}

/// A request from a client to the daemon.
public enum ControlRequest: Hashable, Sendable {
    /// Return the whole status document; the client filters.
    case status
    /// Respond, to show that the daemon runs.
    case ping
    /// Remove everything from the kernel and pause until a reload.
    case purge
    /// Read the configuration again, and say whether it is in force.
    case reload
    /// Send a test frame along the path of each tap of a domain.
    case test(TestCall)
    /// Find out what the daemon can do with its rights: it loads programs and closes them again. The response's body is JSON.
    case examine
    /// Handle a call of libvirt's qemu hook.
    case hook(HookCall)

    /// The name on the wire.
    public var name: String {
        switch self {
        case .status: "status"
        case .ping: "ping"
        case .purge: "purge"
        case .reload: "reload"
        case .test: "test"
        case .examine: "examine"
        case .hook: "hook"
        }
    }

    /// Whether the request changes nothing and costs little, so that the read-only socket accepts it.
    public var isReadOnly: Bool {
        switch self {
        case .status, .ping: true
        case .purge, .reload, .test, .examine, .hook: false
        }
    }
}

/// One call of libvirt's qemu hook, as libvirt made it.
public struct HookCall: Hashable, Sendable {
    /// The domain's name. Any characters: escape it where people read it.
    public var guest: String
    /// A `HookOperation`, or one that this version does not know.
    public var operation: String
    /// The argument `begin`, `end` or `-`.
    public var suboperation: String
    public var extra: String
    /// The domain's XML from standard input, not interpreted.
    public var xml: [UInt8]

    public init(guest: String, operation: String, suboperation: String, extra: String, xml: [UInt8]) {
        self.guest = guest
        self.operation = operation
        self.suboperation = suboperation
        self.extra = extra
        self.xml = xml
    }
}

/// Which taps `virt-tap test` asks the daemon to test.
public struct TestCall: Hashable, Sendable {
    public var domain: DomainUUID
    /// `nil`: all taps of the domain.
    public var tap: TapName?
    /// Identifies the test frames (`TestFrame`) for the client, which captures them.
    public var token: UInt64

    public init(domain: DomainUUID, tap: TapName?, token: UInt64) {
        self.domain = domain
        self.tap = tap
        self.token = token
    }
}

/// The daemon's response.
public struct ControlResponse: Hashable, Sendable {
    /// `nil` when the request was carried out; else one sentence that says what happened and what to do.
    public var error: String?
    /// The reason code of `error`, where there is one.
    public var reason: Reason?
    /// Set only in a response to `hook`.
    public var hook: HookAnswer?
    /// Set only in a response to `purge`: the number of attachments that were removed.
    public var removed: Int?
    /// Set only in a response to `reload`: remarks, or everything that is wrong when it was refused; one line each.
    public var lines: [String] = []
    /// JSON in a response to `status`, `test` and `examine`; else empty.
    public var body: [UInt8]
    /// The version of the program that responded. Set by the client's side.
    public internal(set) var version: String?

    /// Whether the request was carried out.
    public var isOK: Bool { error == nil }

    /// Returns the response if the request was carried out.
    /// - Throws: `refused` otherwise.
    public func accepted() throws(ControlError) -> ControlResponse {
        if let error { throw .refused(error) }
        return self
    }

    /// A response to a request that was carried out.
    public init(body: [UInt8] = [], hook: HookAnswer? = nil, removed: Int? = nil, lines: [String] = []) {
        self.body = body
        self.hook = hook
        self.removed = removed
        self.lines = lines
    }

    /// A response to a request that was not carried out, and why.
    public init(error: String, reason: Reason? = nil, lines: [String] = []) {
        self.error = error
        self.reason = reason
        self.lines = lines
        body = []
    }

    /// A response to a request that was not carried out, and why.
    public init(_ failure: Failure) {
        self.init(error: failure.message, reason: failure.reason)
    }
}

/// The daemon's answer to a hook call.
public struct HookAnswer: Hashable, Sendable {
    /// `false` when a required tap cannot be attached, so that the domain must not start. Counts at `prepare` and `start` only.
    public var allow: Bool
    /// The cause or a remark, for libvirt's log.
    public var message: String?
    /// One line per tap: what was done, or why not. Lines that do not fit into a header are left out.
    public var lines: [String]

    public init(allow: Bool, message: String? = nil, lines: [String] = []) {
        self.allow = allow
        self.message = message
        self.lines = lines
    }
}
