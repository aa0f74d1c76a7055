// SPDX-License-Identifier: LGPL-2.1-or-later

/// Ethernet frames for tests.
public enum FrameBuilder {
    public static let guest: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
    public static let peer: [UInt8] = [0x52, 0x54, 0x00, 0xAA, 0xBB, 0xCC]

    private static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    /// UDP over IPv4, `payload` bytes of it, the first four of which are `number`.
    /// - Parameter tags: VLAN tags, the outermost first.
    public static func udp(_ number: Int, payload: Int = 100, toGuest: Bool = false, tags: [UInt16] = []) -> [UInt8] {
        let body = big(number >> 16) + big(number) + (4..<max(payload, 4)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
        let udp = big(4_000) + big(5_000) + big(8 + body.count) + [0, 0] + body
        return ethernet(toGuest: toGuest, tags: tags, type: 0x0800) + ipv4(protocol: 17, length: udp.count) + udp
    }

    /// A TCP segment too large for any wire, as a guest with TSO sends it.
    public static func tcp(payload: Int, tags: [UInt16] = [], ipOptions: Int = 0, tcpOptions: Int = 12) -> [UInt8] {
        let tcp = tcpHeader(options: tcpOptions) + bytes(payload)
        return ethernet(toGuest: false, tags: tags, type: 0x0800) + ipv4(protocol: 6, length: tcp.count, options: ipOptions) + tcp
    }

    /// The same over IPv6, behind a destination options header of eight bytes for each of `extensions`.
    public static func tcp6(payload: Int, extensions: Int = 0) -> [UInt8] {
        let tcp = tcpHeader(options: 0) + bytes(payload)
        var headers: [UInt8] = []
        for extension_ in 0..<extensions { headers += [extension_ == extensions - 1 ? 6 : 60, 0, 1, 4, 0, 0, 0, 0] }
        let address: [UInt8] = [0xFD] + [UInt8](repeating: 0, count: 15)
        let ip: [UInt8] = [0x60, 0, 0, 0] + big(headers.count + tcp.count) + [extensions > 0 ? 60 : 6, 64] + address + address
        return ethernet(toGuest: false, tags: [], type: 0x86DD) + ip + headers + tcp
    }

    private static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13) } }

    private static func tcpHeader(options: Int) -> [UInt8] {
        big(4_000) + big(5_000) + [0, 0, 0, 1, 0, 0, 0, 0, UInt8((20 + options) / 4) << 4, 0x10, 0xFF, 0xFF, 0, 0, 0, 0]
            + [UInt8](repeating: 1, count: options)
    }

    private static func ethernet(toGuest: Bool, tags: [UInt16], type: Int) -> [UInt8] {
        (toGuest ? guest + peer : peer + guest) + tags.flatMap { big(0x8100) + big(Int($0)) } + big(type)
    }

    /// Of an IPv4 header (RFC 791, 3.1) whose own is zero: a bridge drops what has a wrong one.
    public static func checksum(_ header: some Sequence<UInt8>) -> [UInt8] {
        let header = Array(header)
        var sum = stride(from: 0, to: header.count, by: 2).reduce(0) { $0 + Int(header[$1]) << 8 + Int(header[$1 + 1]) }
        while sum > 0xFFFF { sum = sum >> 16 + sum & 0xFFFF }
        return big(~sum & 0xFFFF)
    }

    private static func ipv4(protocol number: UInt8, length: Int, options: Int = 0) -> [UInt8] {
        var header: [UInt8] =
            [0x40 | UInt8(5 + options / 4), 0] + big(20 + options + length) + [0, 0, 0x40, 0, 64, number, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
            + [UInt8](repeating: 1, count: options)
        header.replaceSubrange(10..<12, with: checksum(header))
        return header
    }
}
