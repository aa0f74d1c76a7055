// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapControl

@Suite("Messages of the control protocol")
struct ControlMessageTests {
    @Test("A request is read as it was written, whatever the domain is called")
    func hookRoundTrip() throws {
        let names = ["--help", "$(id)", "a\nb\u{1B}[31m\u{202E}", "\u{0}", String(repeating: "é", count: 5_000)]
        for name in names {
            let call = HookCall(guest: name, operation: "start", suboperation: "begin", extra: "-", xml: [0, 255, 10])
            let sent = ControlMessage(.hook(call), version: "9")
            let line = try sent.header.line()
            #expect(line.last == UInt8(ascii: "\n") && line.count(where: { $0 == UInt8(ascii: "\n") }) == 1)
            let header = try MessageHeader(parsing: line.dropLast())
            #expect(header.length == 3)
            #expect(try ControlMessage(header: header, body: call.xml).request() == .hook(call))
        }
    }

    @Test("A test names domain and token, and a tap that can be one")
    func testRoundTrip() throws {
        let domain = DomainUUID("6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01")!
        for call in [TestCall(domain: domain, tap: TapName("ids"), token: 0), TestCall(domain: domain, tap: nil, token: .max)] {
            let header = try MessageHeader(parsing: ControlMessage(.test(call), version: "9").header.line().dropLast())
            #expect(try ControlMessage(header: header, body: []).request() == .test(call))
        }
        for fields in [
            #""uuid":"6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01""#, #""uuid":"x","token":1"#,
            #""uuid":"6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01","token":1,"tap":"-""#,
        ] {
            let header = try MessageHeader(parsing: Array("{\"protocol\":1,\"request\":\"test\",\(fields)}".utf8))
            #expect(throws: ControlError.self) { try ControlMessage(header: header, body: []).request() }
        }
    }

    @Test("Requests without fields", arguments: [ControlRequest.status, .ping, .purge, .reload, .examine])
    func plainRoundTrip(request: ControlRequest) throws {
        let header = try MessageHeader(parsing: ControlMessage(request, version: "1").header.line().dropLast())
        #expect(try ControlMessage(header: header, body: []).request() == request)
    }

    @Test("The wire form is the documented one")
    func wireForm() throws {
        let message = ControlMessage(
            .hook(HookCall(guest: "w", operation: "start", suboperation: "begin", extra: "-", xml: [1, 2])), version: "0.1.0")
        let text = String(decoding: try message.header.line(), as: UTF8.self)
        #expect(
            text
                == #"{"extra":"-","guest":"w","length":2,"operation":"start","protocol":1,"request":"hook","suboperation":"begin","#
                + #""version":"0.1.0"}"# + "\n")
        let answer = ControlMessage(ControlResponse(hook: HookAnswer(allow: true, message: nil, lines: ["ids: active"])), version: "0.1.0")
        #expect(
            String(decoding: try answer.header.line(), as: UTF8.self)
                == #"{"allow":true,"length":0,"lines":["ids: active"],"ok":true,"protocol":1,"version":"0.1.0"}"# + "\n")
    }

    @Test("Answers are read as they were written")
    func responseRoundTrip() throws {
        let responses = [
            ControlResponse(body: [1, 2, 3]), ControlResponse(removed: 7),
            ControlResponse(error: "no\nsuch thing", reason: .destinationDown),
            ControlResponse(hook: HookAnswer(allow: false, message: "required", lines: ["a", "b"])),
        ]
        for response in responses {
            let message = ControlMessage(response, version: "2.0")
            var read = try ControlMessage(header: MessageHeader(parsing: message.header.line().dropLast()), body: message.body).response()
            #expect(read.version == "2.0")
            read.version = nil
            #expect(read == response)
        }
    }

    @Test("A reason of a later version is no obstacle")
    func unknownReason() throws {
        let header = try MessageHeader(parsing: Array(#"{"protocol":1,"ok":false,"error":"x","reason":"from-the-future","new":[{}]}"#.utf8))
        let response = try ControlMessage(header: header, body: []).response()
        #expect(response.error == "x" && response.reason == nil)
    }

    @Test("Lines that do not fit into a header are left out, and the header stays within its limit")
    func manyLines() throws {
        let lines = (0..<500).map { "tap\($0): " + String(repeating: "\u{1}", count: 400) }
        let message = ControlMessage(ControlResponse(hook: HookAnswer(allow: true, lines: lines)), version: "1")
        #expect(try message.header.line().count <= ControlProtocol.maximumHeader)
        let read = try message.response().hook?.lines ?? []
        #expect(read.count > 5 && read.last == "\(500 - (read.count - 1)) more: see virt-tap status")
    }

    @Test("Another protocol is named, with the version of the other program")
    func otherProtocol() {
        #expect(throws: ControlError.otherProtocol(2, version: "3.0")) {
            try MessageHeader(parsing: Array(#"{"protocol":2,"version":"3.0","length":"text now"}"#.utf8))
        }
    }

    @Test(
        "What is no header is refused",
        arguments: [
            "", "x", "[]", "null", "{", #"{"protocol":"1"}"#, #"{"version":"1"}"#, #"{"protocol":1,"length":-1}"#,
            #"{"protocol":1,"length":16777217}"#, #"{"protocol":1,"length":9223372036854775808}"#, #"{"protocol":1,"request":1}"#,
            "[[[[[[[[[[",
        ])
    func malformed(text: String) {
        #expect {
            // A short text again and again: depth and length are no way around the limits.
            try MessageHeader(parsing: Array((text.hasPrefix("[[") ? String(repeating: text, count: 6_000) : text).utf8))
        } throws: {
            if case .malformed? = $0 as? ControlError { true } else { false }
        }
    }
}
