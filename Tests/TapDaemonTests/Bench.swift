// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import Synchronization
import TapHost
import TapModel
import TapXML

@testable import TapDaemon

/// A reconciler between a kernel and a libvirt that the test holds, with a clock that only the test moves: time passes in `advance`,
/// `settle`, `eventually` and `whileTimePasses`, and in nothing else however long it takes.
final class Bench: Sendable {
    let kernel: FakeKernel
    let libvirt: FakeLibvirt
    let filters: FakeFilters
    let reconciler: Reconciler
    let log: LogRecorder
    /// Seconds by the reconciler's clock.
    var now: Double { clock.now }
    private let clock: ManualClock

    static let configuration = """
        <virt-tap>
          <destination name='ids'><interface name='mon0'/></destination>
          <destination name='span'><interface name='mon1'/></destination>
        </virt-tap>
        """

    /// web1 and web2 run with their devices; the destinations are there.
    convenience init(_ configuration: String = Bench.configuration, isHookInstalled: Bool = false) throws {
        let kernel = FakeKernel()
        for (index, name) in [(20, "mon0"), (21, "mon1")] {
            kernel.add(Self.monitor(UInt32(index), name))
        }
        for number in 1...2 {
            kernel.add(TestDomain(number).netdev(UInt32(9 + number)))
        }
        try self.init(configuration, kernel, FakeLibvirt(), FakeFilters(), isHookInstalled)
    }

    /// The next daemon on the same host.
    convenience init(_ configuration: String = Bench.configuration, sharing other: Bench) throws {
        try self.init(configuration, other.kernel, other.libvirt, other.filters)
    }

    private init(
        _ configuration: String, _ kernel: FakeKernel, _ libvirt: FakeLibvirt, _ filters: FakeFilters, _ isHookInstalled: Bool = false
    ) throws {
        let clock = ManualClock()
        let log = LogRecorder()
        (self.clock, self.kernel, self.libvirt, self.filters, self.log) = (clock, kernel, libvirt, filters, log)
        var logger = Logger(label: "test", factory: { _ in log })
        logger.logLevel = .debug
        reconciler = Reconciler(
            dataplane: kernel, source: libvirt, compiler: filters,
            configuration: LoadedConfiguration(path: Self.path, Self.parse(configuration), at: Timestamp(seconds: 0)),
            identity: DaemonIdentity(pid: 1, uri: "qemu:///system", started: Timestamp(seconds: 0)),
            clock: DaemonClock(monotonic: { clock.now }, wall: { Timestamp(seconds: 1_000_000 + Int64(clock.now)) }, processor: { 0 }),
            isHookInstalled: { isHookInstalled },
            logger: logger)
    }

    static func monitor(_ index: UInt32, _ name: String) -> HostDevice {
        HostDevice(index: index, name: name, mac: nil, kind: .other("veth"))
    }

    /// Runs the work loop, with what is in the kernel adopted, while the body runs. The loop has ended when this returns: one that goes
    /// on would mend what the test breaks for the next daemon.
    func run(_ body: () async throws -> Void) async throws {
        await reconciler.adopt()
        let loop = Task { [reconciler] in await reconciler.run() }
        let failure: (any Error)?
        do {
            try await body()
            failure = nil
        } catch {
            failure = error
        }
        await reconciler.stop()
        await loop.value
        if let failure { throw failure }
    }

    /// The same, connected to libvirt; the body begins when this tap copies.
    func run(untilActive domain: TestDomain, _ tap: String = "ids", _ body: () async throws -> Void) async throws {
        try await run {
            await connect()
            try await eventually("\(domain.name)'s tap \(tap) copies") { await self.tap(domain, tap)?.state == .active }
            try await body()
        }
    }

    func connect() async { await reconciler.handle(.connected(libvirtVersion: "9.0.0")) }

    func event(_ domain: TestDomain, _ what: String = "changed") async {
        await reconciler.handle(.domainChanged(domain.uuid, what: what))
    }

    func reload(_ configuration: String = Bench.configuration) async throws {
        try await reconciler.reload(Self.parse(configuration))
    }

    static let path = "/etc/virt-tap/config.xml"

    /// As from the file.
    static func parse(_ configuration: String) -> Result<HostConfiguration, ConfigurationFileError> {
        do {
            return .success(try ConfigurationXML.parse(Array(configuration.utf8)))
        } catch {
            return .failure(ConfigurationFileError(path: path, lines: error.diagnostics.map { "\(path): \($0)" }))
        }
    }

    /// Waits until the condition holds, while time passes a little at a time.
    func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        try await TapDaemonTests.eventually(what) {
            if try await condition() { return true }
            await tick()
            return false
        }
    }

    /// Does what waits for a time that comes.
    func whileTimePasses<Result: Sendable>(_ body: () async throws -> Result) async rethrows -> Result {
        let ticker = Task {
            while !Task.isCancelled {
                await tick()
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        defer { ticker.cancel() }
        return try await body()
    }

    /// 5 ms, but not before the reconciler has done what it was asked for: it does not fall behind on a busy machine.
    private func tick() async {
        _ = await reconciler.isWorkDue
        clock.advance(0.005)
    }

    /// A domain's XML, as the reconciler reads it.
    static func parseDomain(_ xml: [UInt8]) -> Result<DomainDefinition, Failure> {
        Result { () throws(Failure) in
            do { return try DomainXML.parse(xml) } catch { throw Failure(.invalidMetadata, "\(error)") }
        }
    }

    /// Lets so many seconds pass and wakes the loop up.
    func advance(_ seconds: Double) async {
        clock.advance(seconds)
        await reconciler.handle(.domainChanged(Self.nobody, what: "time"))
    }

    /// From now on each look at an attachment waits so long for the kernel, by the reconciler's clock.
    func slowKernel(by seconds: Double) {
        kernel.state.withLock { [clock] in $0.whenLooked = { clock.advance(seconds) } }
    }

    /// Waits until everything that is due now has been done.
    func settle() async throws {
        // Looks and their consequences are merged for a moment; ten looks at nobody are behind them all.
        for _ in 1...10 {
            clock.advance(WorkQueue.lookInterval * 1.1)
            let asked = libvirt.state.withLock { $0.asked }
            await reconciler.handle(.domainChanged(Self.nobody, what: "settle"))
            // One whose answer is still on its way is asked for again in a second.
            try await eventually("the loop came round") { libvirt.state.withLock { $0.asked } > asked }
        }
    }

    func tap(_ domain: TestDomain, _ name: String = "ids") async -> TapStatus? {
        await reconciler.status().taps.first { $0.uuid == domain.uuid && $0.name.text == name }
    }

    private static let nobody = DomainUUID("ffffffff-ffff-ffff-ffff-ffffffffffff")!
}

/// A clock that only the test moves.
private final class ManualClock: Sendable {
    private let time = Mutex(1_000.0)
    var now: Double { time.withLock { $0 } }
    func advance(_ seconds: Double) { time.withLock { $0 += seconds } }
}

/// What was waited for did not come in time.
struct NeverHappened: Error, CustomStringConvertible {
    let description: String
}

/// Waits until the condition holds; throws when the time is up.
func eventually(_ what: String, within limit: Duration = .seconds(60), _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(2))
    }
}
