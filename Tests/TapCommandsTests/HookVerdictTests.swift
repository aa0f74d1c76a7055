// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapControl
import TapModel
import Testing

@testable import TapCommands

@Suite("hook")
struct HookVerdictTests {
    /// A domain with one tap.
    private static func domain(required: String = "no") -> [UInt8] {
        Array(
            """
            <domain type='kvm'><name>web1</name><uuid>00000000-0000-4000-8000-000000000001</uuid>
            <metadata><t:tap xmlns:t='urn:virt-tap:1' to='span' required='\(required)'/></metadata></domain>
            """.utf8)
    }

    private func response(allow: Bool) -> ControlResponse {
        ControlResponse(hook: HookAnswer(allow: allow, message: "why\u{1B}", lines: ["ids: a\nb"]))
    }

    @Test("A refusal counts at prepare and start, and nowhere else", arguments: HookOperation.allCases)
    func refusal(operation: HookOperation) {
        #expect(
            HookVerdict(response(allow: false), operation: operation, xml: Self.domain()).refuses == [.prepare, .start].contains(operation))
        #expect(!HookVerdict(response(allow: true), operation: operation, xml: Self.domain()).refuses)
    }

    @Test("Whatever is no answer lets the domain go on, in one line")
    func noAnswer() {
        for verdict in [
            HookVerdict(ControlResponse(error: "busy\n"), operation: .start, xml: Self.domain()),
            HookVerdict(ControlResponse(), operation: .start, xml: Self.domain()),
            HookVerdict(withoutAnswer: "timeout", operation: .start, xml: Self.domain()), HookVerdict(unknown: "st\nart"),
        ] {
            #expect(!verdict.refuses && verdict.lines.count == 1 && !verdict.lines[0].contains("\n"))
        }
    }

    @Test("Without an answer a domain with a required tap does not start, and does everything else")
    func required() {
        for operation in HookOperation.allCases {
            let verdict = HookVerdict(withoutAnswer: "nobody listens", operation: operation, xml: Self.domain(required: "yes"))
            #expect(verdict.refuses == (operation == .start))
        }
        let busy = HookVerdict(ControlResponse(error: "busy"), operation: .start, xml: Self.domain(required: "yes"))
        #expect(busy.refuses)
        #expect(busy.lines == ["required tap span is not in place: virt-tapd did not accept the hook call: busy"])
        // What cannot be read requires nothing.
        #expect(!HookVerdict(withoutAnswer: "nobody listens", operation: .start, xml: Array("<domain".utf8)).refuses)
    }

    @Test("What the daemon says is escaped")
    func escaped() {
        #expect(HookVerdict(response(allow: true), operation: .start, xml: Self.domain()).lines == [#"ids: a\u{a}b"#, #"why\u{1b}"#])
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
