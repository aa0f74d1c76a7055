// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the headers of a frame say of one segment of a TCP stream over IPv4, which may be a GSO packet, and whose payload
/// may have been cut away.
struct TCPSegment: Hashable, Sendable {
    let source: Int
    let destination: Int
    let sequence: Int
    let acknowledgement: Int
    let flags: Int
    /// Bytes of payload that it had, by its IP header.
    let payload: Int
    /// Where the TCP header ends, from the frame's begin on.
    let end: Int

    var isSYN: Bool { flags & 2 != 0 }

    init?(_ frame: CapturedFrame) {
        let bytes = frame.bytes
        guard frame.etherType == 0x0800, bytes.count >= 54, bytes[14] == 0x45, bytes[23] == 6 else { return nil }
        func number(_ offset: Int, _ size: Int) -> Int { bytes[offset..<(offset + size)].reduce(0) { $0 << 8 | Int($1) } }
        source = number(34, 2)
        destination = number(36, 2)
        sequence = number(38, 4)
        acknowledgement = number(42, 4)
        flags = Int(bytes[47])
        end = 34 + Int(bytes[46] >> 4) * 4
        payload = 14 + number(16, 2) - end
    }

    /// How many bytes of the stream from a port are there without a gap from its begin on.
    static func streamLength(_ segments: [TCPSegment], from port: Int) -> Int {
        let stream = segments.filter { $0.source == port }
        guard let start = stream.first(where: \.isSYN)?.sequence else { return 0 }
        // Sequence numbers wrap.
        let parts = stream.map { (offset: ($0.sequence - start - 1) & 0xffff_ffff, length: $0.payload) }.filter { $0.length > 0 }
        var length = 0
        for part in parts.sorted(by: { $0.offset < $1.offset }) {
            guard part.offset <= length else { break }
            length = max(length, part.offset + part.length)
        }
        return length
    }
}
