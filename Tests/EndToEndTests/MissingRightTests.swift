// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TestSupport
import Testing

extension EndToEnd.RunningGuests {
    /// What the command says of a daemon that may not load programs: it has what its unit gave it once, without CAP_PERFMON. Root may, so
    /// the command cannot know by its own rights.
    @Suite struct MissingRightTests {
        let host: TappedHost = .current

        init() async throws { try await host.withoutTaps() }

        /// The lines of one subject, and what to do about it.
        private func lines(_ subject: String, of doctor: CommandResult) -> String {
            let lines = doctor.text.split(separator: "\n").map(String.init)
            guard let index = lines.firstIndex(where: { $0.split(separator: " ").dropFirst().first == Substring(subject) }) else {
                return ""
            }
            let rest = lines[(index + 1)...].prefix { $0.hasPrefix(" ") }
            return ([lines[index]] + rest).joined(separator: "\n")
        }

        private func expect(
            _ doctor: CommandResult, _ subject: String, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
        ) {
            let text = lines(subject, of: doctor)
            for word in words { #expect(text.contains(word), "\(doctor.text)\(doctor.errorText)", sourceLocation: sourceLocation) }
        }

        @Test func isSaidByEveryCommand() async throws {
            // By virt-tapd itself.
            let well = try await host.virtTap("doctor")
            expect(well, "rights", "ok ", "checked by virt-tapd itself")
            for subject in ["capabilities", "programs", "relay", "jit", "filters"] { expect(well, subject, "ok ") }
            try await host.stopDaemon()
            // By a child with the rights that its unit gives it, which are enough.
            let alone = try await host.virtTap("doctor")
            expect(alone, "rights", "ok ", "is not running", "CAP_BPF")
            for subject in ["capabilities", "programs", "relay", "jit", "filters"] { expect(alone, subject, "ok ") }

            let rights = ["--bounding-set=-all,+bpf,+net_admin,+net_raw,+setuid,+setgid", "--inh-caps=-all", "--no-new-privs"]
            try await host.lab.start(
                "virt-tapd", ["setpriv"] + rights + [try TappedHost.program("virt-tapd"), "--log-level", "debug"])
            try await eventually("it is connected to libvirt") { await isConnected() }
            let ill = try await host.virtTap("doctor")
            #expect(ill.status == 1)
            expect(ill, "rights", "checked by virt-tapd itself")
            expect(ill, "capabilities", "fail ", "CAP_PERFMON missing")
            for subject in ["programs", "relay"] {
                expect(
                    ill, subject, "fail ", "fails with virt-tapd's rights, works with root's",
                    "the kernel's verifier refused the program",
                    "-> start virt-tapd with its unit as installed", "systemctl cat virt-tapd")
            }

            let set = try await host.virtTap("set", "web1", "--to", "ids")
            #expect(set.status == 2, "\(set.text)\(set.errorText)")
            #expect(set.text.contains("added in the running domain"))
            for words in ["tap ids is failed: the kernel's verifier refused", "(attach-failed)", "`virt-tap unset web1 ids` removes it"] {
                #expect(set.errorText.contains(words), "\(set.errorText)")
            }
            try await host.wait(for: "web1", .failed, .attachFailed)
            let status = try await host.virtTap("status", "--check", "web1")
            #expect(status.status == 2 && status.text.contains("\nweb1/ids: the kernel's verifier refused the program ("), "\(status.text)")
            expect(try await host.virtTap("doctor"), "taps", "warn ", "1 of 1 does not work, for example web1/ids (attach-failed)")
            let test = try await host.virtTap("test", "web1")
            #expect(test.status == 1)
            for words in ["tap ids: nothing was sent: it is failed (attach-failed): the kernel's verifier", "no test frame was sent"] {
                #expect(test.text.contains(words), "\(test.text)")
            }
            let unset = try await host.virtTap("unset", "web1", "ids")
            #expect(unset.status == 0 && unset.text.contains("no longer copied"), "\(unset.text)\(unset.errorText)")

            try await host.stopDaemon()
            try await host.startDaemon()
            try await eventually("the next one is connected") { await isConnected() }
        }

        private func isConnected() async -> Bool { (try? await host.status().daemon.connected) == true }

        @Test func beforeLibvirtAnswersNothingIsSaidNotToBeThere() async throws {
            try await host.lab.libvirtd("stop")
            try await host.stopDaemon()
            try await host.startDaemon()
            let list = try await host.virtTap("list")
            #expect(list.text.hasPrefix("the taps are not known yet: libvirt has not answered virt-tapd yet\n"), "\(list.text)")
            let one = try await host.virtTap("status", "web1")
            #expect(one.status == 1 && one.errorText.contains("the taps of \"web1\" are not known yet"), "\(one.errorText)")
            let set = try await host.virtTap("status", "--json")
            #expect(set.text.contains("\"complete\" : false"))
            try await host.lab.libvirtd("start")
            try await eventually("all domains are known") { (try? await host.status().daemon.complete) == true }
            #expect(try await host.virtTap("list").text.hasPrefix("no taps: "))
        }

        @Test func shellsAreOfferedWhatThereIs() async throws {
            try await host.virtTapSucceeds("set", "web1", "--to", "ids")
            let destinations = try await host.virtTap("---completion", "set", "--", "--to", "4", "0", "virt-tap", "set", "web1", "--to", "")
            #expect(destinations.status == 0 && destinations.lines == ["ids", "span", "late", "far"], "\(destinations.text)")
            let unset = ["---completion", "unset", "--", "positional@1", "3", "0", "virt-tap", "unset", "web1", ""]
            let taps = try await host.virtTap(unset)
            #expect(taps.status == 0 && taps.lines == ["ids"], "\(taps.text)\(taps.errorText)")
            // Nobody may ask virt-tapd, and gets no message about it.
            let nobody = try await host.lab.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", try TappedHost.program("virt-tap")] + unset)
            #expect(nobody.lines.isEmpty && nobody.errorText.isEmpty, "\(nobody.text)\(nobody.errorText)")
            try await host.virtTapSucceeds("unset", "web1", "ids")
            try await host.waitForEnd(of: "web1")
        }
    }
}
