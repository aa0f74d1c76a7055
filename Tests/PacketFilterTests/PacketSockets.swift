// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Glibc

/// Packet sockets as tests need them.
enum PacketSockets {
    // linux/if_packet.h
    static let version: CInt = 10
    static let transmitRing: CInt = 13
    static let header: CInt = 15

    static func open(on device: String, receiving: Bool) throws -> CInt {
        let everything: UInt16 = receiving ? 0x0003 : 0
        let descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw CallFailure("packet socket") }
        // struct sockaddr_ll: family, protocol, ifindex, and what only received frames have.
        var address = [UInt8](repeating: 0, count: 20)
        address.withUnsafeMutableBytes {
            $0.storeBytes(of: UInt16(AF_PACKET), as: UInt16.self)
            $0.storeBytes(of: everything.bigEndian, toByteOffset: 2, as: UInt16.self)
            $0.storeBytes(of: Int32(if_nametoindex(device)), toByteOffset: 4, as: Int32.self)
        }
        let bound = address.withUnsafeBytes { bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 20) }
        guard bound == 0 else {
            close(descriptor)
            throw CallFailure("bind to \(device)")
        }
        return descriptor
    }

    static func set(_ descriptor: CInt, _ option: CInt, _ value: CInt) throws {
        var value = value
        let solPacket: CInt = 263
        guard setsockopt(descriptor, solPacket, option, &value, 4) == 0 else { throw CallFailure("packet socket's option \(option)") }
    }
}
