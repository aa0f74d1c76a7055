// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapModel
import TapXML

/// `virt-tap check`.
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check a configuration, metadata or a domain's XML. Needs no daemon.",
        discussion: """
            For a domain's XML, check says what this host would copy, and what not and why: \
            virsh dumpxml web1 | ssh hostB virt-tap check -

            Errors are printed as FILE:LINE: message. Exit codes: 0 everything is valid and would be copied; 1 something is \
            invalid or would not be copied here; 78 a configuration is invalid, the given one or this host's own.
            """)

    @Argument(help: "Files to check, or - for standard input; default: this host's configuration.", completion: .file())
    var files: [String] = []

    @OptionGroup var paths: PathOptions

    func run() async throws {
        // This also refuses a file that others can write.
        let configuration = try paths.configuration()
        if files.isEmpty, access(paths.config, F_OK) != 0 {
            return try Output.write("\(paths.config.printable): does not exist, so the defaults apply: no destinations\n")
        }
        var host = ThisHost(configuration, bpffs: paths.bpffs)
        await host.readSensors(connect: paths.connect)
        var check = DocumentCheck(host: host.state, caveats: host.caveats, hasGroup: { getgrnam($0) != nil })
        var worst = CheckReport.Outcome.good
        for path in files.isEmpty ? [paths.config] : files {
            var file = try DocumentFile.read(path)
            file.isHostConfiguration = isHostConfiguration(path)
            check.host.filters = await FilterCheck.system.results(of: check.taps(in: file))
            let report = check.check(file)
            for line in report.diagnostics { Output.diagnose(line) }
            try Output.write(report.lines.map { $0 + "\n" }.joined())
            worst = max(worst, report.outcome)
        }
        switch worst {
        case .good: break
        case .bad: throw CommandFailure(.failure)
        case .badConfiguration: throw CommandFailure(.configuration)
        }
    }

    /// Whether the path leads to the file of this host's configuration, also through links.
    private func isHostConfiguration(_ path: String) -> Bool {
        var (given, own) = (stat(), stat())
        guard stat(path, &given) == 0, stat(paths.config, &own) == 0 else { return false }
        return given.st_dev == own.st_dev && given.st_ino == own.st_ino
    }
}

/// The result of checking one document.
struct CheckReport: Equatable {
    /// How good the document is. The worst of all documents decides the exit code.
    enum Outcome: Int, Comparable {
        case good
        /// Something in the document is invalid or would not be copied.
        case bad
        /// The document is an invalid configuration.
        case badConfiguration

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    var outcome: Outcome
    /// Results, for standard output.
    var lines: [String]
    /// Errors for standard error: `FILE:LINE: message`.
    var diagnostics: [String]

    init(_ outcome: Outcome, lines: [String] = [], diagnostics: [String] = []) {
        self.outcome = outcome
        self.lines = lines
        self.diagnostics = diagnostics
    }

    static func diagnostics(_ list: [Diagnostic], in file: String) -> [String] {
        list.map { "\(file):" + ($0.line.map { "\($0):" } ?? "") + " \($0.withoutLine)" }
    }

    /// Adds a note about something that is valid but has no effect here.
    /// - Parameter isBad: whether nothing would be copied because of it.
    mutating func note(_ text: String, in file: String, isBad: Bool) {
        lines.append("\(file): note: \(text)")
        if isBad { outcome = max(outcome, .bad) }
    }
}
