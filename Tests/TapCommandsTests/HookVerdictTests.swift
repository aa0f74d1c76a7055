// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapControl
import Testing

@testable import TapCommands

@Suite("hook")
struct HookVerdictTests {
    private func response(allow: Bool) -> ControlResponse {
        ControlResponse(hook: HookAnswer(allow: allow, message: "why\u{1B}", lines: ["ids: a\nb"]))
    }

    @Test("A refusal counts at prepare and start, and nowhere else", arguments: HookVerdict.known.sorted())
    func refusal(operation: String) {
        #expect(HookVerdict(response(allow: false), operation: operation).refuses == ["prepare", "start"].contains(operation))
        #expect(!HookVerdict(response(allow: true), operation: operation).refuses)
    }

    @Test("Whatever is no answer lets the domain go on, in one line")
    func noAnswer() {
        for verdict in [
            HookVerdict(ControlResponse(error: "busy\n"), operation: "start"), HookVerdict(ControlResponse(), operation: "start"),
            HookVerdict(withoutAnswer: "timeout", operation: "st\nart"),
        ] {
            #expect(!verdict.refuses && verdict.lines.count == 1 && !verdict.lines[0].contains("\n"))
        }
    }

    @Test("What the daemon says is escaped")
    func escaped() {
        #expect(HookVerdict(response(allow: true), operation: "start").lines == [#"ids: a\u{a}b"#, #"why\u{1b}"#])
    }

    @Test("Standard input: whole, too long, and never ending")
    func input() throws {
        let pipe = Pipe()
        let text = Data(repeating: 65, count: 50_000)
        try pipe.fileHandleForWriting.write(contentsOf: text)
        #expect(throws: HookInput.Problem.tooSlow) {
            try HookInput.read(pipe.fileHandleForReading.fileDescriptor, before: .now + .milliseconds(50))
        }
        let second = Pipe()
        try second.fileHandleForWriting.write(contentsOf: text)
        try second.fileHandleForWriting.close()
        #expect(try HookInput.read(second.fileHandleForReading.fileDescriptor, before: .now + .seconds(5)) == Array(text))
        let zeros = try #require(FileHandle(forReadingAtPath: "/dev/zero"))
        #expect(throws: HookInput.Problem.tooLong) { try HookInput.read(zeros.fileDescriptor, before: .now + .seconds(20)) }
    }
}
