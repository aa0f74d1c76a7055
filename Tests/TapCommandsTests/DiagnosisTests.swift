// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel
import Testing

@testable import Hypervisor
@testable import TapCommands

@Suite("doctor")
struct DiagnosisTests {
    private func facts(_ change: (inout HostFacts) -> Void = { _ in }) -> HostFacts {
        var facts = HostFacts(
            kernel: "6.18.44-x", mechanism: .success(.tcx), bpffs: "/sys/fs/bpf", attachments: .success(2),
            capabilities: CapabilityFinding.Subject.allCases.map { CapabilityFinding($0, .yes) },
            filters: .success(CompiledFilter(expression: "vlan and tcp", instructions: [])),
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
        let failure = Result<CompiledFilter, Failure>.failure(Failure(.permissionDenied, "no child"))
        #expect(level("filters") { $0.filters = failure } == .fail)
        #expect(
            level("filters") {
                $0.filters = failure
                $0.user = 1_000
            } == .unknown)
    }

    @Test("What keeps programs from being attached")
    func attaching() {
        #expect(level("attaching") { $0.mechanism = .failure(Failure(.kernelTooOld, "no TCX")) } == .fail)
        #expect(level("attaching") { $0.mechanism = .failure(Failure(.permissionDenied, "not root")) } == .unknown)
        #expect(level("bpffs") { $0.attachments = .failure(Failure(.permissionDenied, "not root")) } == .unknown)
        func with(_ subject: CapabilityFinding.Subject, _ answer: CapabilityFinding.Answer) -> (inout HostFacts) -> Void {
            { $0.capabilities = [CapabilityFinding(subject, answer)] }
        }
        #expect(level("bpffs", with(.bpffs, .no(why: "tmpfs"))) == .fail)
        #expect(level("programs", with(.programs, .no(why: "the verifier"))) == .fail)
        #expect(level("tcx", with(.tcx, .no(why: "clsact", minimumKernel: "6.6"))) == .warn)
        #expect(level("cutting", with(.cutting, .no(why: "no veth"))) == .warn)
        #expect(level("clsact", with(.clsact, .no(why: "no module"))) == .ok)
        #expect(
            level("clsact") {
                $0.mechanism = .success(.clsact)
                with(.clsact, .no(why: "no module"))(&$0)
            } == .fail)
        #expect(level("capabilities", with(.privileges, .no(why: "CAP_BPF"))) == .warn)
        #expect(level("capabilities", with(.privileges, .yes)) == .ok)
        #expect(level("capabilities", with(.privileges, .unknown(why: "/proc"))) == .unknown)
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
        #expect(
            level("hook") {
                $0.libvirtProcess?.started = Timestamp(seconds: 50)
                var document = Samples.document([])
                document.hook.seen = Timestamp(seconds: 300)
                $0.daemon = .running(document)
            } == .ok)
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
        let way = TapStatus.Warning(reason: .defaultRoute, message: "by the default route")
        #expect(level("destination ids") { $0.destinations = [remote([way])] } == .warn)
    }

    @Test("The mark: free, taken, not known")
    func mark() {
        #expect(level("mark") == .ok)
        #expect(level("mark") { $0.markUsers = ["fwmark 0x2000"] } == .warn)
        #expect(level("mark") { $0.markUsers = nil } == .unknown)
    }

    @Test("Rules that use our bits, as the tools print them")
    func markUsage() {
        let text = """
            0:\tfrom all lookup local
            100:\tfrom all fwmark 0x2000/0x2000 lookup 100
            101:\tfrom all fwmark 0x1 lookup 101
            -A PREROUTING -j MARK --set-xmark 0x6000/0xffffffff
            -A PREROUTING -m mark --mark 0x4000/0x4000 -j ACCEPT
            \t\tmeta mark set 0x00002000
            \t\tmeta mark set meta mark or 0x00002001
            \t\tmeta mark 0x00001000 accept
            -A FORWARD -m comment --comment mark 8192
            """
        #expect(
            MarkUsage.lines(in: text, using: PacketMark()) == [
                "100:\tfrom all fwmark 0x2000/0x2000 lookup 100", "-A PREROUTING -j MARK --set-xmark 0x6000/0xffffffff",
                "meta mark set 0x00002000", "meta mark set meta mark or 0x00002001", "-A FORWARD -m comment --comment mark 8192",
            ])
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
