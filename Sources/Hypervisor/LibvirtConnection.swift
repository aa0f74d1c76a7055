// SPDX-License-Identifier: LGPL-2.1-or-later
internal import CLibvirt
internal import Glibc
internal import Synchronization
internal import TapModel

/// One connection from its opening to its end, with the threads that call libvirt for it.
final class LibvirtConnection: Sendable {
    /// How long a call may take before its caller is told so. The call itself goes on: libvirt has no way to interrupt it.
    static let patience = Duration.seconds(30)
    /// A libvirtd that does not answer is given up after (count + 1) × interval = 20 s, before calls are given up.
    private static let keepaliveInterval: Int32 = 5
    private static let keepaliveCount: UInt32 = 3

    /// libvirt's version on the other side, such as `9.0.0`.
    let libvirtVersion: String
    /// The URI that libvirt settled on, which says more than a default that was asked for.
    let uri: String

    // libvirt's connections may be used by several threads at once.
    nonisolated(unsafe) private let pointer: virConnectPtr
    private let threads: CallThreads
    private let context: EventContext?
    private let callbacks: Mutex<[Int32]>

    /// Opens a connection on a thread of its own and hands it over there; `outcome` is called once.
    ///
    /// - Parameter context: whom to tell of events; `nil` to listen to none.
    static func open(
        uri: String?, readOnly: Bool, threadCount: Int, context: EventContext?,
        outcome: @escaping @Sendable (Result<LibvirtConnection, any Error>) -> Void
    ) {
        do {
            let threads = try CallThreads(count: threadCount)
            _ = threads.submit {
                let result = Result { try LibvirtConnection(uri: uri, readOnly: readOnly, context: context, threads: threads) }
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
            // A connection that comes after its caller has given up is closed again.
            if !reply.give(result), case .success(let connection) = result { connection.close() }
        }
        return try await reply.value(for: "connect to libvirt at \(uri ?? "its default URI")", within: patience)
    }

    /// Blocks until libvirt has answered.
    private init(uri: String?, readOnly: Bool, context: EventContext?, threads: CallThreads) throws {
        try EventLoop.ensureRunning()
        guard let pointer = readOnly ? virConnectOpenReadOnly(uri) : virConnectOpen(uri) else {
            throw LibvirtError.last("connect to libvirt at \(uri ?? "its default URI")")
        }
        self.pointer = pointer
        self.threads = threads
        self.context = context
        var version: UInt = 0
        do {
            guard virConnectGetLibVersion(pointer, &version) == 0 else { throw LibvirtError.last("ask libvirt's daemon for its version") }
            libvirtVersion = Self.text(ofVersion: version)
            self.uri = Self.uri(pointer) ?? uri ?? ""
            callbacks = Mutex([])
            // Unsupported by drivers without a daemon, where nothing can get lost.
            virConnectSetKeepAlive(pointer, Self.keepaliveInterval, Self.keepaliveCount)
        } catch {
            virConnectClose(pointer)
            throw error
        }
        if let context {
            do {
                try register(context)
            } catch {
                deregister()
                virConnectClose(pointer)
                throw error
            }
        }
    }

    /// Runs a blocking piece of work on one of the connection's threads.
    ///
    /// Ends with an error when the connection goes: libvirt wakes up the calls in flight then.
    /// - Parameter doing: what is done, for the message of a time-out, such as `list the domains`.
    /// - Throws: what `body` throws; `LibvirtError` after `patience` or when the connection is closed; `CancellationError`.
    func call<Value: Sendable>(_ doing: String, _ body: @escaping @Sendable (virConnectPtr) throws -> Value) async throws -> Value {
        let reply = Reply<Value>()
        let accepted = threads.submit { [self] in
            // Nobody waits any more for what was given up while it was queued.
            if reply.isGiven { return }
            reply.give(Result { try body(pointer) })
        }
        guard accepted else { throw LibvirtError(message: "cannot \(doing): the connection to libvirt is closed") }
        return try await reply.value(for: doing, within: Self.patience)
    }

    /// Closes the connection after the calls that run or wait, without waiting for that. `done` is called on a thread of
    /// the connection's.
    func close(done: @escaping @Sendable () -> Void = {}) {
        threads.stop { [self] in
            deregister()
            virConnectClose(pointer)
            done()
        }
    }

    private func register(_ context: EventContext) throws {
        try add(context, isNeeded: true) { clibvirt_register_lifecycle(pointer, lifecycleHappened, $0, releaseContext) }
        try add(context, isNeeded: true) { clibvirt_register_metadata_change(pointer, metadataChanged, $0, releaseContext) }
        try add(context, isNeeded: false) { clibvirt_register_device_added(pointer, deviceAdded, $0, releaseContext) }
        try add(context, isNeeded: false) { clibvirt_register_device_removed(pointer, deviceRemoved, $0, releaseContext) }

        // No reference goes along: a driver without a daemon says yes, keeps nothing and so releases nothing. `self.context`
        // holds it until deregister(), which waits for a callback that runs.
        let opaque = Unmanaged.passUnretained(context).toOpaque()
        if virConnectRegisterCloseCallback(pointer, connectionClosed, opaque, nil) < 0 {
            let error = LibvirtError.last("listen for the end of the connection")
            if !error.isUnsupported { throw error }
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

    private func deregister() {
        virConnectUnregisterCloseCallback(pointer, connectionClosed)
        let numbers = callbacks.withLock { callbacks in
            defer { callbacks = [] }
            return callbacks
        }
        for number in numbers { virConnectDomainEventDeregisterAny(pointer, number) }
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
