// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Glibc

/// Sends frames as a packet socket does: as a whole in the linear part, or as GSO packets that somebody else is to cut.
final class FrameSender {
    private let descriptor: CInt

    init(on device: String) throws {
        descriptor = try PacketSockets.open(on: device, receiving: false)
        try PacketSockets.set(descriptor, PacketSockets.header, 1)
    }

    deinit { close(descriptor) }

    /// - Parameter segment: for a TCP GSO packet: bytes of payload that each of its frames is to have, and where TCP begins.
    func send(_ frame: [UInt8], segment: (size: Int, transport: Int)? = nil) throws {
        func little(_ value: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)] }
        var bytes = [UInt8](repeating: 0, count: 10)
        if let segment {
            // struct virtio_net_hdr: NEEDS_CSUM, TCPV4 or TCPV6, header, segment, where the sum begins and goes.
            let isSix = frame[12] == 0x86 || frame[12] == 0x81 && frame[16] == 0x86
            let header = segment.transport + Int(frame[segment.transport + 12] >> 4) * 4
            bytes = [1, isSix ? 4 : 1] + little(header) + little(segment.size) + little(segment.transport) + little(16)
        }
        bytes += frame
        guard Glibc.send(descriptor, bytes, bytes.count, 0) == bytes.count else { throw CallFailure("send of \(frame.count) bytes") }
    }
}
