// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport

/// A GSO packet of TCP, as a guest with TSO hands it to its device, and its segments.
struct GSOPacket {
    let frame: [UInt8]
    var offload: TapDevice.Offload
    private let isIPv6: Bool
    private let network: Int
    private let transport: Int
    /// How many VLAN tags it has.
    let tags: Int
    /// Where its payload begins.
    let end: Int
    private static let pushFlag: UInt8 = 0x08

    init(payload: Int, tags: [UInt16] = [], isIPv6: Bool = false, tcpOptions: Int = 12, segmentSize: Int = 1_448) {
        var frame = isIPv6 ? FrameBuilder.tcp6(payload: payload) : FrameBuilder.tcp(payload: payload, tags: tags, tcpOptions: tcpOptions)
        self.isIPv6 = isIPv6
        self.tags = tags.count
        network = 14 + 4 * tags.count
        transport = network + (isIPv6 ? 40 : 20)
        end = transport + Int(frame[transport + 12] >> 4) * 4
        // Only the last segment keeps this flag.
        frame[transport + 13] |= Self.pushFlag
        // A guest's kernel leaves the sum of the pseudo-header in the checksum field.
        let sum = FrameBuilder.checksum(Self.pseudoHeader(frame, network, transport, isIPv6)).map { ~$0 }
        frame.replaceSubrange((transport + 16)..<(transport + 18), with: sum)
        self.frame = frame
        offload = TapDevice.Offload(
            type: isIPv6 ? 4 : 1, segmentSize: UInt16(segmentSize), headerLength: UInt16(end), checksumStart: UInt16(transport),
            checksumOffset: 16)
    }

    /// The segment size of a copy that would have more than 128 segments: it gets at most 127.
    var joinedSize: Int { (frame.count - end) / 127 + 1 }

    /// The segments that a device makes, byte for byte: RFC 9293 and RFC 791, with the flags as Linux has them.
    func segments(of size: Int) -> [[UInt8]] {
        stride(from: end, to: frame.count, by: size).enumerated().map { number, begin in
            let last = begin + size >= frame.count
            var segment = Array(frame[..<end]) + frame[begin..<min(begin + size, frame.count)]
            let length = segment.count - network
            if isIPv6 {
                Self.put(length - 40, at: network + 4, in: &segment)
            } else {
                Self.put(length, at: network + 2, in: &segment)
                let identifier = Int(frame[network + 4]) << 8 | Int(frame[network + 5])
                Self.put(identifier + number, at: network + 4, in: &segment)
                Self.put(0, at: network + 10, in: &segment)
                segment.replaceSubrange((network + 10)..<(network + 12), with: FrameBuilder.checksum(segment[network..<transport]))
            }
            let sequence = frame[(transport + 4)..<(transport + 8)].reduce(0) { $0 << 8 | Int($1) } + begin - end
            Self.put(sequence >> 16, at: transport + 4, in: &segment)
            Self.put(sequence, at: transport + 6, in: &segment)
            if !last { segment[transport + 13] &= ~Self.pushFlag }
            Self.put(0, at: transport + 16, in: &segment)
            let covered = Self.pseudoHeader(segment, network, transport, isIPv6) + segment[transport...]
            let sum = FrameBuilder.checksum(covered.count.isMultiple(of: 2) ? covered : covered + [0])
            segment.replaceSubrange((transport + 16)..<(transport + 18), with: sum)
            return segment
        }
    }

    private static func put(_ value: Int, at offset: Int, in frame: inout [UInt8]) {
        frame[offset] = UInt8(truncatingIfNeeded: value >> 8)
        frame[offset + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// Addresses, length, protocol.
    private static func pseudoHeader(_ frame: [UInt8], _ network: Int, _ transport: Int, _ isIPv6: Bool) -> [UInt8] {
        let length = frame.count - transport
        let addresses = isIPv6 ? frame[(network + 8)..<(network + 40)] : frame[(network + 12)..<(network + 20)]
        return addresses + [0, 6, UInt8(length >> 8), UInt8(length & 0xFF)]
    }
}

/// The transport checksum of a frame of IPv4 without options or tags.
extension [UInt8] {
    /// A TCP segment whose checksum is left to a device: in its place is the sum of the pseudo-header (RFC 9293, 3.1).
    var withPseudoSum: [UInt8] {
        var frame = self
        frame.replaceSubrange(50..<52, with: FrameBuilder.checksum(pseudoHeader).map { ~$0 })
        return frame
    }

    var hasGoodChecksum: Bool {
        let segment = Array(self[34...])
        return FrameBuilder.checksum(pseudoHeader + segment + (segment.count.isMultiple(of: 2) ? [] : [0])) == [0, 0]
    }

    private var pseudoHeader: [UInt8] {
        let length = count - 34
        return Array(self[26..<34]) + [0, self[23], UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF)]
    }
}
