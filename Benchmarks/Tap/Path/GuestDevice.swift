// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// A tap device with IFF_VNET_HDR, held open as QEMU holds it; what is written is what a guest sends.
///
/// Beside `TapDevice` of the tests because a write here must cost the system call and nothing else.
final class GuestDevice: Sendable {
    let name: String
    let index: UInt32
    let descriptor: CInt

    init(_ name: String) throws {
        descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw BenchmarkFailure(call: "open /dev/net/tun") }
        var request = ifreq()
        withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
        request.ifr_ifru.ifru_flags = Int16(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        // TUNSETIFF, _IOW('T', 202, int)
        guard ioctl(descriptor, 0x4004_54CA, &request) == 0 else { throw BenchmarkFailure(call: "TUNSETIFF \(name)") }
        self.name = name
        index = if_nametoindex(name)
    }

    deinit { close(descriptor) }

    /// Turns checksum offload and GSO on for whoever reads the device, as a guest's virtio driver does.
    func acceptOffloads() throws {
        // TUNSETOFFLOAD, _IOW('T', 208, unsigned int): TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6
        guard ioctl(descriptor, 0x4004_54D0, 7 as CInt) == 0 else { throw BenchmarkFailure(call: "TUNSETOFFLOAD \(name)") }
    }

    /// Writes the same frame `times` times, its virtio header in front.
    func write(_ bytes: UnsafeRawBufferPointer, times: Int) throws {
        for _ in 0..<times {
            guard Glibc.write(descriptor, bytes.baseAddress, bytes.count) == bytes.count else {
                throw BenchmarkFailure(call: "write to \(name)")
            }
        }
    }
}
