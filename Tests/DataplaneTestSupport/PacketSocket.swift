// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// Sends and receives whole frames on a device, as a sensor would.
public final class PacketSocket: Sendable {
    private let descriptor: CInt
    private let takesOutgoing: Bool

    /// - Parameters:
    ///   - takesOutgoing: what goes out by the device is received, too.
    ///   - bypassesQueue: PACKET_QDISC_BYPASS, by which what is sent meets neither qdiscs nor programs at egress.
    public init(on device: String, takesOutgoing: Bool = false, bypassesQueue: Bool = false) throws {
        self.takesOutgoing = takesOutgoing
        descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), Int32(UInt16(0x0003).bigEndian))
        guard descriptor >= 0 else { throw CallFailure("packet socket") }
        // struct sockaddr_ll: family, protocol, ifindex, hatype, pkttype, halen, addr.
        var address = [UInt8](repeating: 0, count: 20)
        address.withUnsafeMutableBytes {
            $0.storeBytes(of: UInt16(AF_PACKET), as: UInt16.self)
            $0.storeBytes(of: UInt16(0x0003).bigEndian, toByteOffset: 2, as: UInt16.self)
            $0.storeBytes(of: Int32(if_nametoindex(device)), toByteOffset: 4, as: Int32.self)
        }
        let bound = address.withUnsafeBytes { bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 20) }
        guard bound == 0 else { throw CallFailure("bind to \(device)") }
        var room: CInt = 256 << 20
        guard setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, 4) == 0 else { throw CallFailure("SO_RCVBUFFORCE") }
        // PACKET_AUXDATA: VLAN tags come in a control message, as the kernel keeps them in skb metadata.
        var one: CInt = 1
        guard setsockopt(descriptor, 263, 8, &one, 4) == 0 else { throw CallFailure("PACKET_AUXDATA") }
        if bypassesQueue, setsockopt(descriptor, 263, 20, &one, 4) != 0 { throw CallFailure("PACKET_QDISC_BYPASS") }
    }

    deinit { close(descriptor) }

    public func send(_ frame: [UInt8]) throws {
        guard Glibc.send(descriptor, frame, frame.count, 0) == frame.count else { throw CallFailure("send") }
    }

    /// The next frame that came in, its VLAN tag put back, or `nil` when none comes in time.
    public func receive(within milliseconds: CInt = 1_000) -> [UInt8]? {
        while isReadable(descriptor, within: milliseconds) {
            if let frame = receiveNow() { return frame }
        }
        return nil
    }

    /// `nil` for a frame that went out.
    private func receiveNow() -> [UInt8]? {
        var frame = [UInt8](repeating: 0, count: 70_000)
        var address = [UInt8](repeating: 0, count: 20)
        var control = [UInt64](repeating: 0, count: 16)
        let count = frame.withUnsafeMutableBytes { frame in
            address.withUnsafeMutableBytes { address in
                control.withUnsafeMutableBytes { control in
                    var vector = iovec(iov_base: frame.baseAddress, iov_len: frame.count)
                    return withUnsafeMutablePointer(to: &vector) { vector in
                        var message = msghdr()
                        message.msg_name = address.baseAddress
                        message.msg_namelen = 20
                        message.msg_iov = vector
                        message.msg_iovlen = 1
                        message.msg_control = control.baseAddress
                        message.msg_controllen = control.count
                        return recvmsg(descriptor, &message, 0)
                    }
                }
            }
        }
        let packetOutgoing: UInt8 = 4
        guard count > 0, takesOutgoing || address[10] != packetOutgoing else { return nil }
        frame.removeLast(frame.count - count)
        // One cmsghdr (16 bytes), then struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid.
        let (status, tag, type) = control.withUnsafeBytes {
            (
                $0.loadUnaligned(fromByteOffset: 16, as: UInt32.self), $0.loadUnaligned(fromByteOffset: 32, as: UInt16.self),
                $0.loadUnaligned(fromByteOffset: 34, as: UInt16.self)
            )
        }
        let hasTag: UInt32 = 1 << 4
        if status & hasTag != 0 {
            frame.insert(
                contentsOf: [UInt8(type >> 8), UInt8(truncatingIfNeeded: type), UInt8(tag >> 8), UInt8(truncatingIfNeeded: tag)], at: 12)
        }
        return frame
    }

    /// Up to `count` frames, and then whatever else comes within a twentieth of a second.
    public func receive(_ count: Int) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        while frames.count < count, let frame = receive(within: 5_000) { frames.append(frame) }
        while let frame = receive(within: 50) { frames.append(frame) }
        return frames
    }
}
