// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport

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
