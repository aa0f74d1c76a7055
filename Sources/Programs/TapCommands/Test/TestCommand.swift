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
        abstract: "Sends a marked frame along the whole path of each tap, and says how far it came.",
        discussion: """
            Neither the guest nor its network sees the frame, and the tap's counters do not count it; the sensor gets it. \
            Exits with 0 only if every frame arrived or left the host. Needs root and virt-tapd.
            """)

    @Argument(help: "The domain, by name or UUID.", completion: DomainCompletion.kind)
    var domain: String

    @Argument(help: "The tap; default: all of the domain's.", completion: NameCompletion.taps)
    var tap: String?

    @OptionGroup var paths: PathOptions

    /// Programs are loaded for each frame, some ten milliseconds each.
    private static let patience: Duration = .seconds(60)
    /// How long a frame may be on its way, in milliseconds: through two backlogs and a queue, on a host that is busy.
    private static let journey: Int32 = 3_000
    /// How long another machine's answer may take, in milliseconds.
    private static let answer: Int32 = 300

    func run() throws {
        let answer = try StatusReader(paths: paths).read()
        let before = try taps(answer)
        guard let domain = before.taps.first else { throw CommandFailure(.failure, "\(self.domain.printable) has no tap") }
        let token = UInt64.random(in: 0 ... .max)
        let dataplane = KernelDataplane(bpffs: paths.bpffs)
        let watcher: TestFrameWatcher
        do throws(Failure) {
            watcher = try TestFrameWatcher(token: token)
        } catch {
            throw CommandFailure(.failure, error.message.printable)
        }
        let drops = drops(dataplane, before.destinations)
        var report = TestReport(taps: before.taps, destinations: before.destinations, trials: [], sightings: [])
        report.staleConfiguration = answer.document.config.stale ? answer.document.config.path : nil
        report.hasFormerConfiguration = answer.document.config.loaded != nil
        report.trials = try send(TestCall(domain: domain.uuid, tap: tap.flatMap { TapName($0) }, token: token))
        watch(watcher, &report)
        // What was counted up to now.
        let after = try taps(StatusReader(paths: paths).read())
        (report.taps, report.destinations) = (after.taps, after.destinations)
        let dropsNow = self.drops(dataplane, after.destinations)
        report.drops = dropsNow.reduce(into: [:]) { $0[$1.key] = $1.value &- (drops[$1.key] ?? $1.value) }
        try Output.write(report.lines.map { $0 + "\n" }.joined())
        guard report.isGood else { throw CommandFailure(.failure) }
    }

    /// Those that are tested, of a daemon that is there.
    private func taps(_ answer: StatusReader.Answer) throws(CommandFailure) -> (taps: [TapStatus], destinations: [DestinationStatus]) {
        guard answer.document.daemon.running else {
            let (state, verb) = answer.isSilent ? ("does not answer", "restart") : ("is not running", "start")
            throw CommandFailure(.failure, "virt-tapd \(state), and it is the one that sends: `systemctl \(verb) virt-tapd`")
        }
        let document = try StatusSelection(domains: [domain]).apply(to: answer.document)
        let taps = document.taps.filter { tap == nil || $0.name.text == tap }
        guard let tap, taps.isEmpty else { return (taps, document.destinations) }
        let names = document.taps.map(\.name.text)
        throw CommandFailure(
            .failure, "\(domain.printable) has no tap \"\(tap.printable)\"; it has \(names.joined(separator: ", "))")
    }

    private func send(_ call: TestCall) throws(CommandFailure) -> [TestFrameResult] {
        do throws(ControlError) {
            let response = try ControlClient(path: paths.runtimeDirectory.controlSocket).send(.test(call), within: Self.patience).accepted()
            guard let trials = try? JSONDecoder().decode([TestFrameResult].self, from: Data(response.body)) else {
                throw .malformed(
                    "the answer of virt-tapd \(response.version?.printable ?? "") is not one that virt-tap \(virtTapVersion) reads")
            }
            return trials
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
    }

    /// Until every copy that was made has arrived, or could have.
    private func watch(_ watcher: TestFrameWatcher, _ report: inout TestReport) {
        let end = ContinuousClock.now + .milliseconds(Self.journey)
        func look(within patience: Int32) {
            report.sightings += watcher.next(within: patience).compactMap { sighting in
                var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
                guard if_indextoname(sighting.ifindex, &name) != nil else { return nil }
                return TestReport.Sighting(
                    number: sighting.number, device: String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self),
                    isSent: sighting.isSent, outerLength: sighting.outerLength, length: sighting.length, refusal: sighting.refusal)
            }
        }
        func isUnderway(_ trial: TestFrameResult) -> Bool { trial.outcome?.fate == .copied && !report.hasArrived(trial) }
        while report.trials.contains(where: isUnderway), ContinuousClock.now < end { look(within: 100) }
        // And where it came then; of another machine whether that takes it, for as long as an answer from far away may need.
        let isRemote = report.destinations.contains { destination in
            destination.kind.isTunnel && report.taps.contains { $0.destination == destination.name }
        }
        let last = ContinuousClock.now + .milliseconds(isRemote ? Self.answer : 20)
        repeat { look(within: 20) } while ContinuousClock.now < last
    }

    /// What the devices of destinations have not taken.
    private func drops(_ dataplane: KernelDataplane, _ destinations: [DestinationStatus]) -> [String: UInt64] {
        destinations.reduce(into: [:]) { drops, destination in
            guard destination.kind == .domain, let name = destination.device else { return }
            drops[name] = (try? dataplane.device(named: name))?.transmitDrops
        }
    }
}
