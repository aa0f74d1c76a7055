// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Foundation
import TapControl
import TapModel
import Testing

@testable import Hypervisor
@testable import TapCommands

@Suite("doctor")
struct DiagnosisTests {
    private static let good = HostExamination(
        findings: CapabilityFinding.Subject.allCases.map { CapabilityFinding($0, .yes) }, mechanism: .success(.tcx), filters: nil)
    /// As whoever is not asked by virt-tapd's rights sees it.
    private static let own = RightsBasis.caller(why: "no process could be made")

    private func facts(_ change: (inout HostFacts) -> Void = { _ in }) -> HostFacts {
        var facts = HostFacts(
            kernel: "6.18.44-x", mechanism: .success(.tcx), bpffs: "/sys/fs/bpf", attachments: .success(2),
            capabilities: Self.good.findings, rights: .daemon(Self.good), filters: nil,
            libvirt: LibvirtReport(libraryVersion: "9.0.0", daemon: .failure(Failure(.libvirtDisconnected, "gone"))),
            hook: .installed(since: Timestamp(seconds: 100)),
            libvirtProcess: LibvirtProcess(name: "libvirtd", started: Timestamp(seconds: 200)),
            daemon: .running(Samples.document([])),
            configPath: "/etc/virt-tap/config.xml", configExists: true, configuration: .success(Samples.configuration), destinations: [],
            markUsers: [])
        change(&facts)
        return facts
    }

    private func level(_ subject: String, _ change: (inout HostFacts) -> Void = { _ in }) -> Finding.Level? {
        Diagnosis.findings(facts(change)).first { $0.subject == subject }?.level
    }

    @Test("A host as it should be, but for libvirt")
    func healthy() {
        let findings = Diagnosis.findings(facts())
        #expect(findings.filter { $0.level != .ok }.map(\.subject) == ["libvirt"])
    }

    @Test("Kernels")
    func kernel() {
        #expect(level("kernel") { $0.kernel = "6.6.0" } == .ok)
        #expect(level("kernel") { $0.kernel = "6.1.0-13-amd64" } == .ok)
        #expect(level("kernel") { $0.kernel = "5.12.0" } == .ok)
        #expect(level("kernel") { $0.kernel = "5.11.22" } == .fail)
        #expect(level("kernel") { $0.kernel = "strange" } == .unknown)
    }

    @Test("A backlog that copies could fill")
    func backlog() {
        #expect(level("backlog") { $0.backlog = 1_000 } == nil)
        #expect(level("backlog") { $0.backlog = 300 } == .warn)
    }

    @Test("Filters that this host cannot compile")
    func filters() {
        let failure = Failure(.permissionDenied, "no child")
        #expect(
            level("filters") {
                $0.filters = failure
                $0.rights = Self.own
            } == .fail)
        #expect(
            level("filters") {
                $0.filters = failure
                $0.rights = Self.own
                $0.user = 1_000
            } == .unknown)
        var daemons = Self.good
        daemons.filters = failure
        #expect(level("filters") { $0.rights = .daemon(daemons) } == .fail)
        // What virt-tapd can, root need not.
        #expect(level("filters") { $0.filters = failure } == .ok)
    }

    @Test("What keeps programs from being attached")
    func attaching() {
        func by(_ mechanism: Result<Mechanism, Failure>) -> (inout HostFacts) -> Void {
            {
                $0.rights = Self.own
                $0.mechanism = mechanism
            }
        }
        #expect(level("attaching", by(.failure(Failure(.kernelTooOld, "no TCX")))) == .fail)
        #expect(level("attaching", by(.failure(Failure(.permissionDenied, "not root")))) == .unknown)
        #expect(level("bpffs") { $0.attachments = .failure(Failure(.permissionDenied, "not root")) } == .unknown)
        func with(_ subject: CapabilityFinding.Subject, _ answer: CapabilityFinding.Answer) -> (inout HostFacts) -> Void {
            {
                $0.rights = Self.own
                $0.capabilities = [CapabilityFinding(subject, answer)]
            }
        }
        #expect(level("bpffs", with(.bpffs, .no(why: "tmpfs"))) == .fail)
        #expect(level("programs", with(.programs, .no(why: "the verifier"))) == .fail)
        #expect(level("tcx", with(.tcx, .no(why: "clsact", minimumKernel: "6.6"))) == .warn)
        #expect(level("cutting", with(.cutting, .no(why: "no veth"))) == .warn)
        #expect(level("clsact", with(.clsact, .no(why: "no module"))) == .ok)
        #expect(
            level("clsact") {
                with(.clsact, .no(why: "no module"))(&$0)
                $0.mechanism = .success(.clsact)
            } == .fail)
        #expect(level("capabilities", with(.privileges, .no(why: "CAP_BPF"))) == .warn)
        #expect(level("capabilities", with(.privileges, .yes)) == .ok)
        #expect(level("capabilities", with(.privileges, .unknown(why: "/proc"))) == .unknown)
    }

    @Test("What virt-tapd may not do fails, whatever root may, with the kernel's words and what to do", arguments: [true, false])
    func rights(isAsked: Bool) {
        func findings(_ change: (inout HostExamination) -> Void) -> [Finding] {
            var found = Self.good
            change(&found)
            return Diagnosis.findings(facts { $0.rights = isAsked ? .daemon(found) : .unit(found, why: nil) })
        }
        func answer(_ subject: CapabilityFinding.Subject, _ answer: CapabilityFinding.Answer) -> [Finding] {
            findings { $0.findings[CapabilityFinding.Subject.allCases.firstIndex(of: subject)!] = CapabilityFinding(subject, answer) }
        }
        for subject in [CapabilityFinding.Subject.programs, .relay] {
            let refused = answer(subject, .no(why: "the kernel's verifier refused the program: R4 off -64"))
            let failed = refused.filter { $0.level == .fail && $0.subject != "libvirt" }
            #expect(failed.map(\.subject) == ["\(subject)"])
            #expect(
                failed.first?.message
                    == "fails with virt-tapd's rights, works with root's: the kernel's verifier refused the program: R4 off -64")
            #expect(failed.first?.remedy?.contains("report this") == true)
        }
        // EPERM is no verdict on the kernel, but on the rights.
        for subject in [CapabilityFinding.Subject.programs, .relay, .bpffs, .tcx] {
            let found = answer(subject, .unknown(why: "Operation not permitted")).first { $0.subject == "\(subject)" }
            #expect(found?.level == .fail && found?.message == "fails with virt-tapd's rights: Operation not permitted", "\(subject)")
        }
        #expect(answer(.jit, .unknown(why: "no program could be loaded")).first { $0.subject == "jit" }?.level == .unknown)
        #expect(answer(.privileges, .no(why: "CAP_BPF missing")).first { $0.subject == "capabilities" }?.level == .fail)
        let attaching = findings { $0.mechanism = .failure(Failure(.permissionDenied, "TCX: Operation not permitted")) }
        #expect(attaching.first { $0.subject == "attaching" }?.level == .fail)
        // What has nothing to do with rights the sandbox only hides.
        #expect(answer(.cutting, .unknown(why: "/lib/modules cannot be read")).first { $0.subject == "cutting" }?.level == .ok)
        #expect(answer(.btf, .no(why: "hidden")).first { $0.subject == "btf" }?.level == .ok)
    }

    @Test("A daemon that lacks what its unit gives is told to run as its unit has it")
    func unit() {
        var found = Self.good
        found.findings = [
            CapabilityFinding(.privileges, .no(why: "CAP_BPF missing")),
            CapabilityFinding(.programs, .unknown(why: "Operation not permitted")),
        ]
        let programs = Diagnosis.findings(facts { $0.rights = .daemon(found) }).first { $0.subject == "programs" }
        #expect(
            programs?.remedy
                == "start virt-tapd with its unit as installed, which gives it CAP_BPF CAP_KILL CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON CAP_SETGID "
                + "CAP_SETUID; `systemctl cat virt-tapd` shows the unit")
    }

    @Test("By whose rights is said")
    func whose() {
        func line(_ rights: RightsBasis, user: UInt32 = 0, daemon: HostFacts.Daemon = .notRunning) -> Finding? {
            Diagnosis.findings(
                facts {
                    $0.rights = rights
                    $0.daemon = daemon
                    $0.user = user
                }
            ).first { $0.subject == "rights" }
        }
        #expect(line(.daemon(Self.good))?.level == .ok)
        #expect(
            line(.unit(Self.good, why: nil))?.message.contains(
                "virt-tapd is not running, so checked with the capabilities of its unit: CAP_BPF CAP_KILL") == true)
        let silent = line(.unit(Self.good, why: nil), daemon: .silent)
        #expect(silent?.message.contains("virt-tapd does not answer, so checked") == true)
        let unreachable = line(.unit(Self.good, why: nil), daemon: .unreachable("another protocol"))
        #expect(unreachable?.message.contains("virt-tapd cannot be asked, so checked") == true)
        let older = line(.unit(Self.good, why: "virt-tapd: this virt-tapd knows no request named \"examine\""))
        #expect(older?.level == .warn && older?.message.contains("knows no request") == true && older?.remedy != nil)
        #expect(line(Self.own)?.level == .unknown && line(Self.own, user: 1_000) == nil)
    }

    @Test("Who is asked: virt-tapd, a child in its place when there is none or it is older, nobody without being root")
    func asked() {
        let refused = ControlError.refused("this virt-tapd knows no request named \"examine\"")
        let body = [UInt8](try! JSONEncoder().encode(Self.good))
        guard case .daemon(Self.good) = RightsBasis.examine(isRoot: true, ask: { ControlResponse(body: body) }, child: { nil }) else {
            Issue.record("virt-tapd's answer does not count")
            return
        }
        var child = Self.good
        child.findings = []
        let refuses: () throws(ControlError) -> ControlResponse = { () throws(ControlError) in throw refused }
        let babbles: () throws(ControlError) -> ControlResponse = { () throws(ControlError) in ControlResponse(body: [1]) }
        for ask in [refuses, babbles] {
            guard case .unit(child, let why?) = RightsBasis.examine(isRoot: true, ask: ask, child: { child }) else {
                Issue.record("nobody stands in for an older virt-tapd")
                return
            }
            #expect(why.contains("knows no request") || why.contains("cannot read its answer"), "\(why)")
        }
        guard case .unit(child, nil) = RightsBasis.examine(isRoot: true, ask: nil, child: { child }),
            case .caller = RightsBasis.examine(isRoot: true, ask: nil, child: { nil })
        else {
            Issue.record("without a virt-tapd")
            return
        }
        guard case .caller = RightsBasis.examine(isRoot: false, ask: refuses, child: { child }) else {
            Issue.record("asked without being root")
            return
        }
    }

    @Test("What virt-tapd found is the same on this side of the socket, and what a later one looks at besides is passed over")
    func wire() throws {
        var found = Self.good
        found.findings[2].answer = .no(why: "R0 !read_ok", minimumKernel: "6.6")
        found.findings[3].answer = .unknown(why: "EPERM")
        found.mechanism = .failure(Failure(.kernelTooOld, "no TCX"))
        found.filters = Failure(.permissionDenied, "no child")
        #expect(try JSONDecoder().decode(HostExamination.self, from: JSONEncoder().encode(found)) == found)
        let later = #"{"findings":[{"subject":"warp","answer":"no"},{"subject":"btf","answer":"yes"}],"mechanism":"tcx","more":1}"#
        let read = try JSONDecoder().decode(HostExamination.self, from: Data(later.utf8))
        #expect(read == HostExamination(findings: [CapabilityFinding(.btf, .yes)], mechanism: .success(.tcx), filters: nil))
    }

    @Test("The capabilities by which virt-tapd is judged are those that its unit gives it")
    func unitFile() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../packaging/systemd/virt-tapd.service")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("CapabilityBoundingSet=") }
        let names = lines.flatMap { $0.dropFirst("CapabilityBoundingSet=".count).split(separator: " ").map(String.init) }
        #expect(!names.isEmpty && names.sorted() == DaemonRights.capabilities.map(\.name))
    }

    @Test("Taps that do not work are named beside a host that is well")
    func taps() {
        func finding(_ taps: [TapStatus]) -> Finding? {
            Diagnosis.findings(facts { $0.daemon = .running(Samples.document(taps)) }).first { $0.subject == "taps" }
        }
        #expect(finding([]) == nil)
        #expect(finding([Samples.tap("web1")])?.level == .ok)
        #expect(
            finding([Samples.tap("web1"), Samples.tap("web2", state: .failed, reason: .attachFailed)])
                == Finding(
                    .warn, "taps", "1 of 2 does not work, for example web2/ids (attach-failed)", remedy: "`virt-tap status` says why"))
    }

    @Test("The hook: missing, not executable, newer than libvirt's daemon, seen")
    func hook() {
        #expect(level("hook") { $0.hook = .missing } == .warn)
        #expect(level("hook") { $0.hook = .notExecutable } == .warn)
        #expect(level("hook") { $0.libvirtProcess?.started = Timestamp(seconds: 50) } == .warn)
        #expect(level("hook") { $0.libvirtProcess?.started = Timestamp(seconds: 97) } == .warn)
        // Clocks are read in seconds and ticks.
        #expect(level("hook") { $0.libvirtProcess?.started = Timestamp(seconds: 98) } == .ok)
        #expect(level("hook") { $0.hasTimeout = false } == .warn)
        #expect(level("hook") { $0.hasHookTimedOut = true } == .warn)
        #expect(
            level("hook") {
                $0.libvirtProcess?.started = Timestamp(seconds: 50)
                var document = Samples.document([])
                document.hook.seen = Timestamp(seconds: 300)
                $0.daemon = .running(document)
            } == .ok)
    }

    @Test("Without the hook a required tap holds nothing: that fails")
    func hookOfRequiredTaps() {
        var tap = Samples.tap("web1")
        func level(_ change: (inout HostFacts) -> Void) -> Finding.Level? {
            var document = Samples.document([tap])
            document.hook.missed = Timestamp(seconds: 400)
            return self.level("hook") {
                $0.daemon = .running(document)
                change(&$0)
            }
        }
        let losses: [(inout HostFacts) -> Void] = [
            { _ in }, { $0.hook = .missing }, { $0.hook = .notExecutable }, { $0.hasTimeout = false },
        ]
        for loss in losses { #expect(level(loss) == .warn) }
        tap.required = true
        for loss in losses { #expect(level(loss) == .fail) }
        tap.enabled = false
        for loss in losses { #expect(level(loss) == .warn) }
    }

    @Test("A hook that is there and not called is one finding, whatever came before")
    func uncalledHook() {
        var document = Samples.document([])
        document.hook.seen = Timestamp(seconds: 300)
        document.hook.missed = Timestamp(seconds: 400)
        document.daemon.warnings = [TapStatus.Warning(reason: .hookNotCalled, message: "libvirt started web1")]
        let findings = Diagnosis.findings(facts { $0.daemon = .running(document) })
        #expect(findings.filter { $0.message.contains("hook-not-called") || $0.message.contains("web1") }.map(\.subject) == ["hook"])
        #expect(findings.first { $0.subject == "hook" }?.level == .warn)
        #expect(level("configuration") { $0.daemon = .running(document) } == .ok)
    }

    @Test("The advice names the daemon that runs", arguments: ["libvirtd", "virtqemud"])
    func daemonByName(_ name: String) {
        func remedy(_ change: (inout HostFacts) -> Void) -> String? {
            let findings = Diagnosis.findings(
                facts {
                    $0.libvirtProcess = LibvirtProcess(name: name, started: Timestamp(seconds: 50))
                    change(&$0)
                })
            return findings.first { $0.subject == "hook" }?.remedy
        }
        #expect(remedy { _ in } == "systemctl restart \(name): guests keep running")
        #expect(remedy { $0.hook = .missing }?.contains("restart \(name),") == true)
    }

    @Test("The daemon and its configuration")
    func daemon() {
        #expect(level("virt-tapd") { $0.daemon = .notRunning } == .fail)
        #expect(level("virt-tapd") { $0.daemon = .silent } == .fail)
        #expect(level("virt-tapd") { $0.daemon = .unreachable("x") } == .fail)
        #expect(
            level("virt-tapd") {
                $0.daemon = .unreachable("x")
                $0.user = 1_000
            } == .unknown)
        func with(_ change: @escaping (inout StatusDocument) -> Void) -> (inout HostFacts) -> Void {
            {
                var document = Samples.document([])
                change(&document)
                $0.daemon = .running(document)
            }
        }
        #expect(level("virt-tapd", with { $0.daemon.connected = false }) == .fail)
        #expect(level("virt-tapd", with { $0.daemon.version = "9" }) == .warn)
        #expect(level("virt-tapd", with { $0.daemon.paused = true }) == .warn)
        #expect(level("configuration", with { $0.config.stale = true }) == .warn)
        #expect(level("configuration", with { $0.config.path = "/elsewhere" }) == .warn)
        #expect(level("configuration") { $0.configuration = .failure(.init(lines: ["c:1: bad"])) } == .fail)
        #expect(level("configuration") { $0.configExists = false } == .warn)
    }

    @Test("What a valid configuration does not do")
    func configuration() {
        #expect(level("policy") == nil)
        #expect(
            level("policy") {
                var configuration = Samples.configuration
                configuration.policy.tapsAllowed = false
                $0.configuration = .success(configuration)
            } == .warn)
    }

    @Test("Who is not root is told so, and told that the exit code says less")
    func notRoot() {
        #expect(level("user") == nil)
        let findings = Diagnosis.findings(
            facts {
                $0.user = 1_000
                $0.daemon = .unreachable("not permitted")
            })
        #expect(findings.filter { $0.level == .unknown }.map(\.subject) == ["virt-tapd", "user"])
        #expect(findings.filter { $0.level == .unknown }.allSatisfy { $0.remedy?.contains("as root") == true })
    }

    @Test("Each destination has its line")
    func destinations() {
        let down = DestinationStatus(
            name: "ids", kind: .interface, failure: Failure(.destinationDown, "mon0 is down"))
        #expect(level("destination ids") { $0.destinations = [down] } == .fail)
        func remote(_ warnings: [TapStatus.Warning]) -> DestinationStatus {
            DestinationStatus(name: "ids", kind: .vxlan, failure: nil, warnings: warnings)
        }
        #expect(level("destination ids") { $0.destinations = [remote([])] } == .ok)
        for reason in [Reason.defaultRoute, .hostListens] {
            let way = TapStatus.Warning(reason: reason, message: "by the default route")
            #expect(level("destination ids") { $0.destinations = [remote([way])] } == .warn)
        }
    }

    @Test("The mark: free, taken, not known")
    func mark() {
        #expect(level("mark") == .ok)
        #expect(level("mark") { $0.markUsers = ["fwmark 0x2000"] } == .warn)
        #expect(level("mark") { $0.markUsers = nil } == .unknown)
    }

    @Test("Tools: output, failure, endlessness, absence")
    func tools() {
        #expect(ToolOutput.of("echo", ["a b"]) == "a b\n")
        #expect(ToolOutput.of("false", []) == nil)
        #expect(ToolOutput.of("sleep", ["30"], within: .milliseconds(100)) == nil)
        #expect(ToolOutput.of("no-such-tool-anywhere", []) == nil)
    }

    @Test("As it is printed")
    func text() {
        #expect(
            Finding.text([Finding(.ok, "kernel", "fine"), Finding(.fail, "x", "bad", remedy: "mend it")], for: .none) == """
                ok       kernel  fine
                fail     x       bad
                                 -> mend it

                """)
    }
}
