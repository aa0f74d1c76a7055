// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import TapModel

/// A message of the control protocol: converts requests and responses to a header and a body and back. Does no I/O.
struct ControlMessage: Equatable {
    var header: MessageHeader
    var body: [UInt8]

    init(header: MessageHeader, body: [UInt8]) {
        self.header = header
        self.body = body
        self.header.length = body.count
    }

    init(_ request: ControlRequest, version: String) {
        var header = MessageHeader(version: version)
        header.request = request.name
        var body: [UInt8] = []
        if case .test(let call) = request {
            header.uuid = call.domain.description
            header.tap = call.tap?.text
            header.token = call.token
        }
        if case .hook(let call) = request {
            header.guest = call.guest
            header.operation = call.operation
            header.suboperation = call.suboperation
            header.extra = call.extra
            body = call.xml
        }
        self.init(header: header, body: body)
    }

    init(_ response: ControlResponse, version: String) {
        var header = MessageHeader(version: version)
        header.ok = response.isOK
        header.error = response.error
        header.reason = response.reason?.rawValue
        header.removed = response.removed
        if let hook = response.hook {
            header.allow = hook.allow
            header.message = hook.message
            header.lines = Self.fitting(hook.lines)
        } else if !response.lines.isEmpty {
            header.lines = Self.fitting(response.lines, rest: "virt-tap check")
        }
        self.init(header: header, body: response.body)
    }

    /// Decodes the request in a message from a client.
    func request() throws(ControlError) -> ControlRequest {
        switch header.request {
        case "status": return .status
        case "ping": return .ping
        case "purge": return .purge
        case "reload": return .reload
        case "examine": return .examine
        case "test":
            guard let domain = header.uuid.flatMap({ DomainUUID($0) }), let token = header.token else {
                throw .malformed("a test needs uuid and token")
            }
            let tap = header.tap.map { TapName($0) }
            if case .some(nil) = tap { throw .malformed("invalid name of a tap") }
            return .test(TestCall(domain: domain, tap: tap ?? nil, token: token))
        case "hook":
            guard let guest = header.guest, let operation = header.operation else {
                throw .malformed("a hook call needs guest and operation")
            }
            return .hook(
                HookCall(
                    guest: guest, operation: operation, suboperation: header.suboperation ?? "", extra: header.extra ?? "", xml: body))
        case let other?:
            throw .unknownRequest(other)
        case nil:
            throw .malformed("the header names no request")
        }
    }

    /// Decodes the response in a message from the server.
    func response() throws(ControlError) -> ControlResponse {
        guard let ok = header.ok else { throw .malformed("the response lacks \"ok\"") }
        var response =
            ok ? ControlResponse(body: body) : ControlResponse(error: header.error ?? "the daemon refused and did not say why")
        response.reason = header.reason.flatMap(Reason.init(rawValue:))
        response.removed = header.removed
        response.version = header.version
        if let allow = header.allow {
            response.hook = HookAnswer(allow: allow, message: header.message, lines: header.lines ?? [])
        } else {
            response.lines = header.lines ?? []
        }
        return response
    }

    /// As many lines as fit into a header in any case: JSON makes at most six bytes of one.
    private static func fitting(_ lines: [String], rest: String = "virt-tap status") -> [String] {
        var room = ControlProtocol.maximumHeader / 6 - 2_048
        for (index, line) in lines.enumerated() {
            room -= line.utf8.count + 3
            if room < 0 { return lines[..<index] + ["\(lines.count - index) more: see \(rest)"] }
        }
        return lines
    }
}

/// The header of every message, in both directions. Fields that a message does not have are left out.
struct MessageHeader: Codable, Equatable {
    var `protocol`: Int
    var version: String?
    var length: Int?
    // Fields of requests.
    var request: String?
    var guest: String?
    var operation: String?
    var suboperation: String?
    var extra: String?
    var uuid: String?
    var tap: String?
    var token: UInt64?
    // Fields of responses.
    var ok: Bool?
    var error: String?
    var reason: String?
    var allow: Bool?
    var message: String?
    var lines: [String]?
    var removed: Int?

    init(version: String) {
        self.protocol = ControlProtocol.number
        self.version = version
    }

    /// - Parameter line: the header's bytes without the newline.
    init(parsing line: [UInt8]) throws(ControlError) {
        do {
            self = try JSONDecoder().decode(MessageHeader.self, from: Data(line))
        } catch {
            // A header of another protocol may differ in everything but its number.
            if let other = try? JSONDecoder().decode(ProtocolNumber.self, from: Data(line)), other.protocol != ControlProtocol.number {
                throw .otherProtocol(other.protocol, version: other.version)
            }
            throw .malformed("the header is not a JSON object of the control protocol")
        }
        guard self.protocol == ControlProtocol.number else { throw .otherProtocol(self.protocol, version: version) }
        if let length, !(0...ControlProtocol.maximumBody).contains(length) {
            throw .malformed("the header announces a body of \(length) bytes; at most \(ControlProtocol.maximumBody) are accepted")
        }
    }

    /// Encodes the header as a line of JSON with its newline.
    func line() throws(ControlError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self), data.count < ControlProtocol.maximumHeader else {
            throw .malformed("the header would be longer than \(ControlProtocol.maximumHeader) bytes")
        }
        return Array(data) + [UInt8(ascii: "\n")]
    }

    private struct ProtocolNumber: Decodable {
        var `protocol`: Int
        var version: String?
    }
}
