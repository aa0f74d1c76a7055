// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// Numbers of the control protocol between virt-tap and virt-tapd.
///
/// A client sends one line of JSON, the header, and as many bytes of body as the header's `length` says; the server
/// answers in the same form and closes. Both headers carry `protocol` and `version`. Keys that a side does not know
/// are ignored, so that programs of different versions understand each other; what cannot be ignored gets a new
/// number, and the two sides then say so and do nothing.
public enum ControlProtocol {
    public static let number = 1
    /// Bytes, the newline included.
    public static let maximumHeader = 64 * 1_024
    /// Bytes: a hook call carries a domain's XML, a status document is smaller.
    public static let maximumBody = DomainSnapshot.maximumXML
    /// A whole request must have arrived this long after the connection was accepted.
    public static let requestTime: Duration = .seconds(5)
    /// The client must have taken the whole answer this long after it was ready.
    public static let answerTime: Duration = .seconds(5)
    /// Clients served at once on one socket; further ones are told so.
    public static let maximumClients = 32
}

/// What a client asks of the daemon.
public enum ControlRequest: Hashable, Sendable {
    /// The status document, whole; the client filters.
    case status
    /// Whether somebody is there.
    case ping
    /// Remove everything from the kernel and pause until a reload.
    case purge
    /// Read the configuration again, and say whether it was taken.
    case reload
    /// Send a marked frame along the path of each tap of a domain.
    case test(TestCall)
    /// What the daemon can do with the rights that it has: it loads programs and lets them go. The answer's body is JSON.
    case examine
    /// libvirt called the qemu hook.
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

    /// Whether it changes nothing and costs little, so that it may be asked on the read-only socket.
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
    /// `begin`, `end` or `-`.
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
    /// `nil`: all of the domain's.
    public var tap: TapName?
    /// What the frames are known by: `TestFrame`. Whoever asks looks for them.
    public var token: UInt64

    public init(domain: DomainUUID, tap: TapName?, token: UInt64) {
        self.domain = domain
        self.tap = tap
        self.token = token
    }
}

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

/// What the daemon says to a hook call.
public struct HookAnswer: Hashable, Sendable {
    /// `false`: a required tap cannot be placed, and the domain is not to start. Counts at `prepare` and `start` only.
    public var allow: Bool
    /// Why not, or what there is to know; for libvirt's log.
    public var message: String?
    /// One line a tap: what was done, or why not. Cut short when they do not fit into a header.
    public var lines: [String]

    public init(allow: Bool, message: String? = nil, lines: [String] = []) {
        self.allow = allow
        self.message = message
        self.lines = lines
    }
}
