// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Dataplane
import FoundationEssentials
import Glibc
import TapControl
import TapModel

/// `virt-tap test`.
struct TestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Send a test frame along the whole path of each tap, and show where it arrives.",
        discussion: """
            The sensor receives the frame. The guest and its network do not, and the tap's counters do not count it. \
            Exits with 0 only if every frame arrived or left the host. Needs root and a running virt-tapd.
            """)

    @Argument(help: "The domain, by name or UUID.", completion: DomainCompletion.kind)
    var domain: String

    @Argument(help: "The tap to test; default: all taps of the domain.", completion: NameCompletion.taps)
    var tap: String?

    @OptionGroup var paths: PathOptions

    /// How long virt-tapd may take to answer. It loads a program for each frame, which takes about 10 ms.
    private static let timeout: Duration = .seconds(60)
    /// How long a frame may take to arrive, in milliseconds: on a busy host it waits in two backlogs and a queue.
    private static let arrivalTimeout: Int32 = 3_000
    /// How long to wait for an ICMP error of another machine, in milliseconds.
    private static let icmpTimeout: Int32 = 300

    func run() throws {
        let answer = try StatusReader(paths: paths).read()
        let before = try taps(answer)
        guard let domain = before.taps.first else { throw CommandFailure(.failure, "domain \(self.domain.printable) has no tap") }
        let token = UInt64.random(in: 0 ... .max)
        let dataplane = KernelDataplane(bpffs: paths.bpffs)
        let watcher: TestFrameWatcher
        do throws(Failure) {
            watcher = try TestFrameWatcher(token: token)
        } catch {
            throw CommandFailure(.failure, error.message.printable)
        }
        let drops = drops(dataplane, before.destinations)
        var report = TestReport(taps: before.taps, destinations: before.destinations, results: [], observations: [])
        report.staleConfiguration = answer.document.config.stale ? answer.document.config.path : nil
        report.hasFormerConfiguration = answer.document.config.loaded != nil
        report.results = try send(TestCall(domain: domain.uuid, tap: tap.flatMap { TapName($0) }, token: token))
        observe(watcher, &report)
        // The counters after the test.
        let after = try taps(StatusReader(paths: paths).read())
        (report.taps, report.destinations) = (after.taps, after.destinations)
        let dropsNow = self.drops(dataplane, after.destinations)
        report.drops = dropsNow.reduce(into: [:]) { $0[$1.key] = $1.value &- (drops[$1.key] ?? $1.value) }
        try Output.write(report.lines.map { $0 + "\n" }.joined())
        guard report.isGood else { throw CommandFailure(.failure) }
    }

    /// The taps to test and all destinations. Throws if virt-tapd does not run or there is no such tap.
    private func taps(_ answer: StatusReader.Answer) throws(CommandFailure) -> (taps: [TapStatus], destinations: [DestinationStatus]) {
        guard answer.document.daemon.running else {
            let (state, verb) = answer.isSilent ? ("does not answer", "restart") : ("is not running", "start")
            throw CommandFailure(.failure, "virt-tapd \(state), and it sends the test frames: `systemctl \(verb) virt-tapd`")
        }
        let document = try StatusSelection(domains: [domain]).apply(to: answer.document)
        let taps = document.taps.filter { tap == nil || $0.name.text == tap }
        guard let tap, taps.isEmpty else { return (taps, document.destinations) }
        let names = document.taps.map(\.name.text)
        throw CommandFailure(
            .failure, "domain \(domain.printable) has no tap \"\(tap.printable)\"; it has \(names.joined(separator: ", "))")
    }

    private func send(_ call: TestCall) throws(CommandFailure) -> [TestFrameResult] {
        do throws(ControlError) {
            let response = try ControlClient(path: paths.runtimeDirectory.controlSocket).send(.test(call), within: Self.timeout).accepted()
            guard let results = try? JSONDecoder().decode([TestFrameResult].self, from: Data(response.body)) else {
                throw .malformed(
                    "virt-tap \(virtTapVersion) cannot read the answer of virt-tapd \(response.version?.printable ?? "(unknown version)"):"
                        + " install the same version of both, then `systemctl restart virt-tapd`")
            }
            return results
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
    }

    /// Records on which devices the test frames appear, until every copy has arrived or the time is over.
    private func observe(_ watcher: TestFrameWatcher, _ report: inout TestReport) {
        let end = ContinuousClock.now + .milliseconds(Self.arrivalTimeout)
        func read(within timeout: Int32) {
            report.observations += watcher.next(within: timeout).compactMap { sighting in
                var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
                guard if_indextoname(sighting.ifindex, &name) != nil else { return nil }
                return TestReport.Observation(
                    number: sighting.number, device: String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self),
                    isSent: sighting.isSent, outerLength: sighting.outerLength, length: sighting.length, refusal: sighting.refusal)
            }
        }
        func isUnderway(_ result: TestFrameResult) -> Bool { result.outcome?.fate == .copied && !report.hasArrived(result) }
        while report.results.contains(where: isUnderway), ContinuousClock.now < end { read(within: 100) }
        // Then wait for devices behind the first one, and for ICMP errors of another machine.
        let isRemote = report.destinations.contains { destination in
            destination.kind.isTunnel && report.taps.contains { $0.destination == destination.name }
        }
        let last = ContinuousClock.now + .milliseconds(isRemote ? Self.icmpTimeout : 20)
        repeat { read(within: 20) } while ContinuousClock.now < last
    }

    /// The number of frames that each sensor VM's device has dropped.
    private func drops(_ dataplane: KernelDataplane, _ destinations: [DestinationStatus]) -> [String: UInt64] {
        destinations.reduce(into: [:]) { drops, destination in
            guard destination.kind == .domain, let name = destination.device else { return }
            drops[name] = (try? dataplane.device(named: name))?.transmitDrops
        }
    }
}
