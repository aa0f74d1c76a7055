// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// `virt-tap doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Says what this host can and cannot do, and what to do about it.",
        discussion: "Changes nothing. Exits with 1 when something fails.")

    @OptionGroup var paths: PathOptions

    func run() async throws {
        let findings = Diagnosis.findings(await Examination(paths: paths).facts())
        try Output.write(Finding.text(findings, for: .current()))
        if findings.contains(where: { $0.level == .fail }) { throw CommandFailure(.failure) }
    }
}
