// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibvirt
import Glibc
import Synchronization
import TapModel

/// One connection from its opening to its end, with the threads that call libvirt for it.
///
/// To libvirtd it is as many clients as it has threads: within one client, a call that waits for a domain's lock delays
/// those behind it (seen with libvirt 9.0.0). The loss of one client ends them all.
final class LibvirtConnection: Sendable {
    /// How long a call may take before its caller gets an error. The call itself goes on: libvirt cannot interrupt it.
    static let patience = Duration.seconds(30)
    /// A libvirtd that does not answer is given up after (count + 1) × interval = 20 s, before calls are given up.
    private static let keepaliveInterval: Int32 = 5
    private static let keepaliveCount: UInt32 = 3

    /// libvirt's version on the other side, such as `9.0.0`.
    let libvirtVersion: String
    /// The URI that libvirt chose, which is more precise than a default.
    let uri: String

    /// One connection per thread; events come on the first. libvirt's connections may be used by any thread.
    nonisolated(unsafe) private let pointers: [virConnectPtr]
    private let threads: CallThreads
    private let callbacks: Mutex<[Int32]>
    private let closeListener = Mutex<Int?>(nil)

    /// Opens a connection on a thread of its own. `outcome` is called there, once.
    ///
    /// - Parameter context: receives the events; `nil` to listen to none.
    static func open(
        uri: String?, readOnly: Bool, threadCount: Int, context: EventContext?,
        outcome: @escaping @Sendable (Result<LibvirtConnection, any Error>) -> Void
    ) {
        do {
            let threads = try CallThreads(count: threadCount)
            _ = threads.submit { _ in
                let result = Result {
                    try LibvirtConnection(uri: uri, readOnly: readOnly, count: threadCount, context: context, threads: threads)
                }
                if case .failure = result { threads.stop() }
                outcome(result)
            }
        } catch {
            outcome(.failure(error))
        }
    }

    /// Opens a connection for one task, with no events.
    /// - Throws: `LibvirtError`, also when libvirt has not answered within `patience`; `CancellationError`.
    static func opened(uri: String?, readOnly: Bool) async throws -> LibvirtConnection {
        let reply = Reply<LibvirtConnection>()
        open(uri: uri, readOnly: readOnly, threadCount: 1, context: nil) { result in
            // A connection that opens after its caller has given up is closed again.
            if !reply.give(result), case .success(let connection) = result { connection.close() }
        }
        return try await reply.value(for: "connect to libvirt at \(LibvirtURI.effective(uri))", within: patience)
    }

    /// Blocks until libvirt has answered.
    private init(uri: String?, readOnly: Bool, count: Int, context: EventContext?, threads: CallThreads) throws {
        try EventLoop.ensureRunning()
        let uri = LibvirtURI.effective(uri)
        var opened: [virConnectPtr] = []
        do {
            for _ in 0..<count {
                guard let pointer = readOnly ? virConnectOpenReadOnly(uri) : virConnectOpen(uri) else {
                    throw LibvirtError.last("connect to libvirt at \(uri)")
                }
                opened.append(pointer)
                // Drivers without a daemon do not support it, and their connection cannot be lost.
                virConnectSetKeepAlive(pointer, Self.keepaliveInterval, Self.keepaliveCount)
            }
            var version: UInt = 0
            guard virConnectGetLibVersion(opened[0], &version) == 0 else {
                throw LibvirtError.last("ask libvirt's daemon for its version")
            }
            libvirtVersion = Self.text(ofVersion: version)
        } catch {
            for pointer in opened { virConnectClose(pointer) }
            throw error
        }
        self.uri = Self.uri(opened[0]) ?? uri
        self.threads = threads
        pointers = opened
        callbacks = Mutex([])
        if let context {
            do {
                try register(context)
            } catch {
                closePointers()
                throw error
            }
        }
    }

    /// Runs a blocking piece of work on one of the connection's threads.
    ///
    /// Throws when the connection is lost: libvirt wakes up the calls in flight then.
    /// - Parameter doing: the action, for the message of a time-out, such as `list the domains`.
    /// - Throws: what `body` throws; `LibvirtError` after `patience` or when the connection is closed; `CancellationError`.
    func call<Value: Sendable>(_ doing: String, _ body: @escaping @Sendable (virConnectPtr) throws -> Value) async throws -> Value {
        let reply = Reply<Value>()
        let accepted = threads.submit { [self] number in
            // The caller gave up while the job was queued.
            if reply.isGiven { return }
            reply.give(Result { try body(pointers[number]) })
        }
        guard accepted else { throw LibvirtError(message: "cannot \(doing): the connection to libvirt is closed") }
        return try await reply.value(for: doing, within: Self.patience)
    }

    /// Closes the connection after the calls that run or wait. Does not wait for that. `done` is called on a thread of
    /// the connection.
    func close(done: @escaping @Sendable () -> Void = {}) {
        threads.stop { [self] _ in
            closePointers()
            done()
        }
    }

    private func register(_ context: EventContext) throws {
        let pointer = pointers[0]
        try add(context, isNeeded: true) { clibvirt_register_lifecycle(pointer, lifecycleHappened, $0, releaseContext) }
        try add(context, isNeeded: true) { clibvirt_register_metadata_change(pointer, metadataChanged, $0, releaseContext) }
        try add(context, isNeeded: false) { clibvirt_register_device_added(pointer, deviceAdded, $0, releaseContext) }
        try add(context, isNeeded: false) { clibvirt_register_device_removed(pointer, deviceRemoved, $0, releaseContext) }

        // Passes a number and no reference: a driver without a daemon reports success, keeps nothing and so never releases it.
        let number = CloseListeners.add(context)
        closeListener.withLock { $0 = number }
        let opaque = UnsafeMutableRawPointer(bitPattern: number)
        for pointer in pointers where virConnectRegisterCloseCallback(pointer, connectionClosed, opaque, nil) < 0 {
            let error = LibvirtError.last("listen for the end of the connection")
            if !error.isUnsupported { throw error }
        }
        // A loss before the callbacks were registered is reported to nobody. This check does not ask the daemon.
        for pointer in pointers where virConnectIsAlive(pointer) == 0 {
            throw LibvirtError(message: "the connection to libvirt was lost while it was opened")
        }
    }

    private func add(_ context: EventContext, isNeeded: Bool, _ register: (UnsafeMutableRawPointer) -> Int32) throws {
        let opaque = Unmanaged.passRetained(context)
        let number = register(opaque.toOpaque())
        if number >= 0 {
            callbacks.withLock { $0.append(number) }
            return
        }
        opaque.release()
        let error = LibvirtError.last("listen to libvirt's events")
        if isNeeded || !error.isUnsupported { throw error }
    }

    private func closePointers() {
        let numbers = callbacks.withLock { callbacks in
            defer { callbacks = [] }
            return callbacks
        }
        for number in numbers { virConnectDomainEventDeregisterAny(pointers[0], number) }
        for pointer in pointers {
            virConnectUnregisterCloseCallback(pointer, connectionClosed)
            virConnectClose(pointer)
        }
        if let listener = closeListener.withLock({ $0 }) { CloseListeners.remove(listener) }
    }

    private static func uri(_ pointer: virConnectPtr) -> String? {
        guard let text = virConnectGetURI(pointer) else { return nil }
        defer { free(text) }
        return String(cString: text)
    }

    /// libvirt's versions are numbers: 1,000,000 × major + 1,000 × minor + release.
    static func text(ofVersion version: UInt) -> String {
        "\(version / 1_000_000).\(version / 1_000 % 1_000).\(version % 1_000)"
    }
}

/// Which libvirt is meant when no URI is given.
public enum LibvirtURI {
    /// The URI to connect to: the one given, else `LIBVIRT_DEFAULT_URI`, else `qemu:///system`.
    ///
    /// Without a URI libvirt looks only for the socket of libvirtd, and fails where virtqemud runs (seen with Debian's 9.0.0
    /// and 11.3.0). With `qemu:///system` it uses virtqemud's socket where that exists.
    /// - Parameter given: the URI of an option or the configuration; `nil` or empty: none is given.
    public static func effective(_ given: String?) -> String {
        // An empty URI counts as none, as libvirt has it.
        [given, getenv("LIBVIRT_DEFAULT_URI").map { String(cString: $0) }].compactMap(\.self).first { !$0.isEmpty } ?? "qemu:///system"
    }

    /// Whether the libvirt at this URI calls the qemu hook of this host as root: it is QEMU's system driver, on this machine.
    public static func callsHook(_ uri: String) -> Bool {
        guard let scheme = uri.firstRange(of: "://") else { return false }
        let transport = uri[..<scheme.lowerBound].split(separator: "+", omittingEmptySubsequences: false)
        let path = uri[scheme.upperBound...].prefix { $0 != "?" }
        return (transport == ["qemu"] || transport == ["qemu", "unix"]) && path == "/system"
    }
}

/// libvirt's error of a call, read on the thread that made the call.
struct LibvirtError: Error, Equatable {
    /// libvirt's number of the error, a `virErrorNumber`; 0 where the error is our own.
    var code: UInt32 = 0
    /// Whether the error came from the connection to libvirt's daemon, and not from the daemon's work.
    var isFromTransport = false
    /// What failed, and libvirt's own text, repaired where it is not UTF-8.
    var message: String

    /// Reads the error of the call that has just failed on this thread.
    /// - Parameter doing: the action, such as `list the domains`.
    static func last(_ doing: String) -> LibvirtError {
        let code = UInt32(bitPattern: virGetLastErrorCode())
        let words = virGetLastErrorMessage().map { String(cString: $0) } ?? "libvirt gave no reason"
        let domain = UInt32(bitPattern: virGetLastErrorDomain())
        let isFromTransport = domain == VIR_FROM_RPC.rawValue || domain == VIR_FROM_REMOTE.rawValue
        return LibvirtError(code: code, isFromTransport: isFromTransport, message: "cannot \(doing): \(words)")
    }

    /// Whether the domain does not exist, which is an answer rather than an error.
    var isNoDomain: Bool { code == VIR_ERR_NO_DOMAIN.rawValue }

    /// Whether this driver or this version of libvirt does not support the call.
    var isUnsupported: Bool {
        [VIR_ERR_NO_SUPPORT, VIR_ERR_OPERATION_UNSUPPORTED, VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_ARGUMENT_UNSUPPORTED]
            .contains { $0.rawValue == code }
    }

    /// Whether libvirt, polkit or a read-only connection forbids the call.
    var isDenied: Bool {
        [VIR_ERR_OPERATION_DENIED, VIR_ERR_ACCESS_DENIED, VIR_ERR_AUTH_FAILED, VIR_ERR_AUTH_CANCELLED, VIR_ERR_AUTH_UNAVAILABLE]
            .contains { $0.rawValue == code }
    }

    /// Whether libvirt itself does not answer. Errors of our own have code 0: no thread, no answer in time, or closed.
    var isUnreachable: Bool {
        code == 0 || isFromTransport || [VIR_ERR_NO_CONNECT, VIR_ERR_INVALID_CONN].contains { $0.rawValue == code }
    }

    /// The failure that is shown to the operator.
    var failure: Failure { Failure(isDenied ? .permissionDenied : .libvirtDisconnected, message) }
}
