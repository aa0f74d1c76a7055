// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// One frame of a capture file, from its Ethernet header on. When it came makes no difference between two.
struct CapturedFrame: Hashable, Sendable {
    let bytes: [UInt8]
    /// Its length on the wire, which is more than `bytes` if the capture cut it.
    let length: Int
    /// When it was captured: seconds.
    let time: Double

    static func == (one: Self, other: Self) -> Bool { one.length == other.length && one.bytes == other.bytes }

    func hash(into hasher: inout Hasher) {
        hasher.combine(bytes)
        hasher.combine(length)
    }

    var etherType: Int { bytes.count >= 14 ? Int(bytes[12]) << 8 | Int(bytes[13]) : 0 }
    var isICMP: Bool { etherType == 0x0800 && bytes.count > 23 && bytes[23] == 1 }

    /// The number in a packet of the guest's generator (Tests/guest/vt-send.c), if it is one.
    func number(_ kind: String, from guest: String) -> Int? {
        // Ethernet, IPv4 without options, UDP.
        guard etherType == 0x0800, bytes.count > 42, bytes[14] == 0x45, bytes[23] == 17 else { return nil }
        let text = String(decoding: bytes[42...].prefix { $0 != 0x0a }, as: UTF8.self)
        let prefix = "vt \(kind) \(guest) "
        return text.hasPrefix(prefix) ? Int(text.dropFirst(prefix.count)) : nil
    }

    /// Reads a pcap file that may still be growing: a record that is not whole yet is left out.
    static func readAll(from file: Data) throws -> [CapturedFrame] {
        let bytes = [UInt8](file)
        func word(_ offset: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        guard bytes.count >= 24 else { return [] }
        guard word(0) == 0xa1b2_c3d4, word(20) == 1 else {
            throw NeverHappened(description: "a little-endian pcap file of Ethernet frames")
        }
        var frames: [CapturedFrame] = []
        var offset = 24
        while offset + 16 <= bytes.count {
            let captured = word(offset + 8)
            guard offset + 16 + captured <= bytes.count else { break }
            frames.append(
                CapturedFrame(
                    bytes: Array(bytes[(offset + 16)..<(offset + 16 + captured)]), length: word(offset + 12),
                    time: Double(word(offset)) + Double(word(offset + 4)) / 1_000_000))
            offset += 16 + captured
        }
        return frames
    }
}
