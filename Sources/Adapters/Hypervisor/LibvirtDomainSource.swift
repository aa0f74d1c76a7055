// SPDX-License-Identifier: LGPL-2.1-or-later
import Synchronization
public import TapModel

/// Domains and events from libvirt, over a read-only connection that is made again whenever it is lost.
///
/// Needs no privileges: libvirt opens events, live XML and metadata to read-only connections.
///
/// `run()` holds the connection; `events`, `domains` and `domain` can be used meanwhile, from any task. Each connection has a few
/// threads of its own for blocking calls. So a libvirtd that hangs, or a hook script that holds a domain's lock, delays only
/// the call that waits for it, and that call fails after 30 s at most. libvirt's call then goes on, and
/// keeps its thread until libvirt answers or the connection is lost. Calls that find every thread busy fail in the same way.
public final class LibvirtDomainSource: DomainSource {
    public let events: AsyncStream<HypervisorEvent>

    private enum Notice: Sendable {
        case machine(ConnectionMachine.Input)
        case opened(Int, LibvirtConnection)
    }

    private struct State {
        var connection: LibvirtConnection?
        var whyNot = "the connection to libvirt has not been tried yet"
        var hasRun = false
    }

    private let uri: String?
    private let state = Mutex(State())
    private let eventSink: AsyncStream<HypervisorEvent>.Continuation
    private let notices: AsyncStream<Notice>
    private let noticeSink: AsyncStream<Notice>.Continuation

    /// - Parameter uri: as for `virsh --connect`, such as `qemu:///system`; `nil` for `LIBVIRT_DEFAULT_URI`
    ///   or else `qemu:///system`. Modular and monolithic daemons have the same URI.
    public init(uri: String?) {
        self.uri = uri
        (events, eventSink) = AsyncStream.makeStream()
        (notices, noticeSink) = AsyncStream.makeStream()
    }

    /// Connects, and keeps connected until the task is cancelled; then closes the connection and finishes `events`.
    ///
    /// Never blocks its thread and never throws: when libvirt cannot be reached it sends `.disconnected`, once per
    /// reason. To be called once; a second call returns at once.
    public func run() async {
        let isSecond = state.withLock { state in
            defer { state.hasRun = true }
            return state.hasRun
        }
        if isSecond { return }

        var machine = ConnectionMachine()
        var driver = Driver(source: self)
        driver.execute(machine.handle(.start, jitter: .random(in: 0..<1)))
        for await notice in notices {
            let input = driver.input(for: notice)
            driver.execute(machine.handle(input, jitter: .random(in: 0..<1)))
        }
        driver.execute(machine.handle(.stop, jitter: 0))
        state.withLock { state in
            state.connection = nil
            state.whyNot = "the connection to libvirt has been closed"
        }
        eventSink.finish()
    }

    public func domains() async throws -> [DomainSnapshot] {
        try await ask("list the domains") { try DomainReader.domains($0) }
    }

    public func domain(_ uuid: DomainUUID) async throws -> DomainSnapshot? {
        try await ask("read the domain \(uuid)") { try DomainReader.domain(uuid, $0) }
    }

    private func ask<Value: Sendable>(_ doing: String, _ body: @escaping @Sendable (OpaquePointer) throws -> Value) async throws -> Value {
        let (connection, whyNot) = state.withLock { ($0.connection, $0.whyNot) }
        guard let connection else { throw Failure(.libvirtDisconnected, "cannot \(doing): \(whyNot)") }
        do {
            return try await connection.call(doing, body)
        } catch let error as LibvirtError {
            throw error.failure
        }
    }

    /// Executes the actions of the machine.
    private struct Driver {
        let source: LibvirtDomainSource
        private var timer: Task<Void, Never>?
        private var candidate: LibvirtConnection?
        private var current: LibvirtConnection?

        init(source: LibvirtDomainSource) {
            self.source = source
        }

        mutating func input(for notice: Notice) -> ConnectionMachine.Input {
            switch notice {
            case .machine(let input):
                return input
            case .opened(let attempt, let connection):
                candidate = connection
                return .opened(attempt, libvirtVersion: connection.libvirtVersion)
            }
        }

        mutating func execute(_ actions: [ConnectionMachine.Action]) {
            for action in actions { execute(action) }
        }

        private mutating func execute(_ action: ConnectionMachine.Action) {
            switch action {
            case .open(let attempt):
                open(attempt)
            case .watch(let attempt, let delay):
                start(delay, then: .overdue(attempt))
            case .pause(let attempt, let delay):
                start(delay, then: .retry(attempt))
            case .stopTimer:
                timer?.cancel()
            case .adopt:
                current = candidate
                candidate = nil
                let connection = current
                source.state.withLock { $0.connection = connection }
            case .close:
                let connection = candidate ?? current
                if candidate == nil { current = nil }
                candidate = nil
                connection?.close()
            case .report(let event):
                if case .disconnected(let why) = event {
                    source.state.withLock { state in
                        state.connection = nil
                        state.whyNot = why
                    }
                }
                source.eventSink.yield(event)
            }
        }

        private mutating func start(_ delay: Duration, then input: ConnectionMachine.Input) {
            timer?.cancel()
            let sink = source.noticeSink
            timer = Task {
                guard (try? await Task.sleep(for: delay)) != nil else { return }
                sink.yield(.machine(input))
            }
        }

        private func open(_ attempt: Int) {
            let sink = source.noticeSink
            let began = ContinuousClock.now
            let context = EventContext(events: source.eventSink) { why in
                sink.yield(.machine(.lost(attempt, why: why, after: began.duration(to: .now))))
            }
            LibvirtConnection.open(uri: source.uri, readOnly: true, threadCount: 3, context: context) { result in
                switch result {
                case .success(let connection):
                    // The source was stopped meanwhile, so nobody uses the connection.
                    if case .terminated = sink.yield(.opened(attempt, connection)) { connection.close() }
                case .failure(let error):
                    let why = (error as? LibvirtError)?.message ?? "\(error)"
                    sink.yield(.machine(.refused(attempt, why: why)))
                }
            }
        }
    }
}
