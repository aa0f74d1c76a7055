// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials

/// The line in front of every message, both ways; the fields that a message does not have are left out.
struct MessageHeader: Codable, Equatable {
    var `protocol`: Int
    var version: String?
    var length: Int?
    // Requests.
    var request: String?
    var guest: String?
    var operation: String?
    var suboperation: String?
    var extra: String?
    var uuid: String?
    var tap: String?
    var token: UInt64?
    // Answers.
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
            // A header of another protocol may differ in everything but this.
            if let other = try? JSONDecoder().decode(ProtocolNumber.self, from: Data(line)), other.protocol != ControlProtocol.number {
                throw .otherProtocol(other.protocol, version: other.version)
            }
            throw .malformed("the header is not an object of JSON as the control protocol has it")
        }
        guard self.protocol == ControlProtocol.number else { throw .otherProtocol(self.protocol, version: version) }
        if let length, !(0...ControlProtocol.maximumBody).contains(length) {
            throw .malformed("a body of \(length) bytes was announced; at most \(ControlProtocol.maximumBody) are taken")
        }
    }

    /// The line with its newline.
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
