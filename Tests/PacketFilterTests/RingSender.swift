// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Glibc

/// Sends frames out of a PACKET_TX_RING: only the Ethernet header is in the linear part, the rest is in pages of the ring.
final class RingSender {
    private static let slots = 64
    /// A page is two slots.
    private static let slotSize = 2048

    private let descriptor: CInt
    private let ring: UnsafeMutableRawPointer
    private var slot = 0

    init(on device: String) throws {
        descriptor = try PacketSockets.open(on: device, receiving: false)
        // TPACKET_V2
        try PacketSockets.set(descriptor, PacketSockets.version, 1)
        // struct tpacket_req: block size and number, frame size and number.
        var request = (UInt32(4096), UInt32(Self.slots / 2), UInt32(Self.slotSize), UInt32(Self.slots))
        guard setsockopt(descriptor, 263, PacketSockets.transmitRing, &request, 16) == 0 else { throw CallFailure("PACKET_TX_RING") }
        let address = mmap(nil, Self.slots * Self.slotSize, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let address, address != MAP_FAILED else { throw CallFailure("mmap of PACKET_TX_RING") }
        ring = address
    }

    deinit {
        munmap(ring, Self.slots * Self.slotSize)
        close(descriptor)
    }

    /// - Parameter frame: at most 1,514 bytes.
    func send(_ frame: [UInt8]) throws {
        // struct tpacket2_hdr: status, length; the frame comes behind its 32 bytes.
        let header = ring + slot * Self.slotSize
        slot = (slot + 1) % Self.slots
        for _ in 0..<1_000 where header.load(as: UInt32.self) != 0 { usleep(100) }
        guard header.load(as: UInt32.self) == 0 else { throw CallFailure("PACKET_TX_RING is full") }
        header.storeBytes(of: UInt32(frame.count), toByteOffset: 4, as: UInt32.self)
        (header + 32).copyMemory(from: frame, byteCount: frame.count)
        // TP_STATUS_SEND_REQUEST
        header.storeBytes(of: 1, as: UInt32.self)
        guard Glibc.send(descriptor, nil, 0, 0) >= 0 else { throw CallFailure("send from PACKET_TX_RING") }
    }
}
