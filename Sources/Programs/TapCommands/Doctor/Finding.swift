// SPDX-License-Identifier: LGPL-2.1-or-later

/// One thing that the doctor looked at.
struct Finding: Hashable {
    enum Level: String {
        case ok
        /// Works, with a limit that one should know.
        case warn
        /// Copying does not work, or not as it should.
        case fail
        /// Could not be found out.
        case unknown
    }

    var level: Level
    var subject: String
    /// What was found; printable.
    var message: String
    /// What to do about it; printable.
    var remedy: String?

    init(_ level: Level, _ subject: String, _ message: String, remedy: String? = nil) {
        self.level = level
        self.subject = subject
        self.message = message
        self.remedy = remedy
    }

    private var colour: Colour {
        switch level {
        case .ok: .green
        case .warn: .yellow
        case .fail: .red
        case .unknown: .faint
        }
    }

    static func text(_ findings: [Finding], for terminal: Terminal) -> String {
        let width = findings.map(\.subject.count).max() ?? 0
        return findings.map { finding in
            let label = finding.level.rawValue + String(repeating: " ", count: 7 - finding.level.rawValue.count)
            let head = terminal.isColoured ? finding.colour.paint(label) : label
            let subject = finding.subject + String(repeating: " ", count: width - finding.subject.count)
            let indent = String(repeating: " ", count: 9 + width + 2)
            let body = ([finding.message] + (finding.remedy.map { ["-> " + $0] } ?? [])).flatMap { text in
                DisplayWidth.wrap(text, to: terminal.width.map { $0 - indent.count }, indent: "")
            }
            return "\(head)  \(subject)  " + body.joined(separator: "\n" + indent) + "\n"
        }.joined()
    }
}
