// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Foundation
import Glibc

/// A tap device held open as QEMU holds it: what is written is what a guest sends, what is read is what it receives.
/// The device goes when this object does.
public final class TapDevice: Sendable {
    public let name: String
    public let index: UInt32
    private let descriptor: CInt
    private let hasHeader: Bool

    /// `struct virtio_net_hdr`, which precedes each frame where it was asked for.
    public struct Offload: Sendable {
        public var segmentSize: UInt16
        public var headerLength: UInt16
        /// 1: TCP over IPv4; 4: TCP over IPv6; 5: UDP segmentation.
        public var type: UInt8
        public var checksumStart: UInt16
        public var checksumOffset: UInt16

        public init(type: UInt8, segmentSize: UInt16, headerLength: UInt16, checksumStart: UInt16, checksumOffset: UInt16) {
            self.type = type
            self.segmentSize = segmentSize
            self.headerLength = headerLength
            self.checksumStart = checksumStart
            self.checksumOffset = checksumOffset
        }

        var bytes: [UInt8] {
            func little(_ value: UInt16) -> [UInt8] { [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)] }
            return [1, type] + little(headerLength) + little(segmentSize) + little(checksumStart) + little(checksumOffset)
        }
    }

    /// - Parameter withHeader: IFF_VNET_HDR, so that GSO packets can be sent.
    public init(_ name: String, withHeader: Bool = false) throws {
        descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw CallFailure("open /dev/net/tun") }
        var request = ifreq()
        withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
        request.ifr_ifru.ifru_flags = Int16(IFF_TAP | IFF_NO_PI | (withHeader ? IFF_VNET_HDR : 0))
        // TUNSETIFF, _IOW('T', 202, int)
        guard ioctl(descriptor, 0x4004_54CA, &request) == 0 else { throw CallFailure("TUNSETIFF \(name)") }
        self.name = name
        hasHeader = withHeader
        index = if_nametoindex(name)
    }

    /// Opens the character device of a macvtap device that is there; each frame has a header.
    public init(macvtap name: String) throws {
        let index = if_nametoindex(name)
        let numbers = try String(contentsOfFile: "/sys/class/net/\(name)/tap\(index)/dev", encoding: .utf8).split(separator: ":")
        guard numbers.count == 2, let major = UInt32(numbers[0]), let minor = UInt32(numbers[1].filter(\.isNumber)) else {
            throw CallFailure("device number of \(name)")
        }
        let node = "/dev/\(name)-\(getpid())"
        // CAP_MKNOD: where a guest runs, udev makes it.
        guard UnitRights.withEverything({ mknod(node, S_IFCHR | 0o600, UInt(minor & 0xFF | major << 8 | (minor & ~0xFF) << 12)) }) == 0
        else {
            throw CallFailure("mknod \(node)")
        }
        defer { unlink(node) }
        descriptor = open(node, O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw CallFailure("open \(node)") }
        self.name = name
        self.index = index
        hasHeader = true
    }

    deinit { close(descriptor) }

    public func write(_ frame: [UInt8], _ offload: Offload? = nil) throws {
        let bytes = (hasHeader ? offload?.bytes ?? [UInt8](repeating: 0, count: 10) : []) + frame
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else { throw CallFailure("write to \(name)") }
    }

    /// The next frame, or `nil` when none comes in time.
    public func read(within milliseconds: CInt = 1_000) -> [UInt8]? {
        guard isReadable(descriptor, within: milliseconds) else { return nil }
        var buffer = [UInt8](repeating: 0, count: 70_000)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return Array(buffer[(hasHeader ? 10 : 0)..<count])
    }
}
