// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Glibc
import PacketFilter

/// A packet socket with a filter of classic BPF: the kernel itself decides, about the very frames that are on the device.
final class SocketFilter {
    private let descriptor: CInt

    init(on device: String) throws {
        descriptor = try PacketSockets.open(on: device, receiving: true)
        var room: CInt = 32 << 20
        guard setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, 4) == 0 else { throw CallFailure("SO_RCVBUFFORCE") }
    }

    deinit { close(descriptor) }

    func attach(_ instructions: [ClassicInstruction]) throws {
        let words = instructions.map(\.word)
        // struct sock_fprog: the count, and 8 bytes from the start the pointer.
        let result = words.withUnsafeBytes { words in
            var program = (UInt64(words.count / 8), UInt64(UInt(bitPattern: words.baseAddress!)))
            return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, 16)
        }
        guard result == 0 else { throw CallFailure("SO_ATTACH_FILTER") }
        _ = take()
    }

    /// How many frames came since the last time.
    func take() -> Int {
        var (count, byte) = (0, UInt8(0))
        while recv(descriptor, &byte, 1, CInt(MSG_DONTWAIT)) >= 0 { count += 1 }
        return count
    }
}
