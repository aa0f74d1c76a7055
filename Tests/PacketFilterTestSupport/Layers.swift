// SPDX-License-Identifier: LGPL-2.1-or-later

/// Parts of frames, as bytes. Checksums are 0: no filter looks at whether they are right.
enum Layers {
    static let guest: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
    static let peer: [UInt8] = [0x52, 0x54, 0x00, 0xAA, 0xBB, 0xCC]
    static let broadcast = [UInt8](repeating: 0xFF, count: 6)

    static func big(_ value: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)] }
    static func big32(_ value: Int) -> [UInt8] { big(value >> 16) + big(value) }

    static func ethernet(_ type: Int, _ payload: [UInt8], to: [UInt8] = peer, from: [UInt8] = guest, tags: [(type: Int, tci: Int)] = [])
        -> [UInt8]
    {
        to + from + tags.flatMap { big($0.type) + big($0.tci) } + big(type) + payload
    }

    /// 802.3: a length, LLC and what it holds.
    static func llc(_ header: [UInt8], _ payload: [UInt8] = Array(repeating: 0, count: 40), to: [UInt8] = peer) -> [UInt8] {
        ethernet(header.count + payload.count, header + payload, to: to)
    }

    static func ip(
        _ proto: Int, _ payload: [UInt8], from: [UInt8] = [192, 0, 2, 11], to: [UInt8] = [192, 0, 2, 1], options: Int = 0,
        fragment: Int = 0,
        tos: Int = 0, ttl: Int = 64
    ) -> [UInt8] {
        [UInt8(0x45 + options / 4), UInt8(tos)] + big(20 + options + payload.count) + big(0x1234) + big(fragment)
            + [UInt8(ttl), UInt8(proto)] + big(0) + from + to + [UInt8](repeating: 1, count: options) + payload
    }

    static func address6(_ last: Int, _ first: Int = 0x2001_0DB8) -> [UInt8] { big32(first) + [UInt8](repeating: 0, count: 10) + big(last) }

    static func ip6(_ next: Int, _ payload: [UInt8], from: [UInt8] = address6(1), to: [UInt8] = address6(2), hops: Int = 64) -> [UInt8] {
        [0x60, 0, 0, 0] + big(payload.count) + [UInt8(next), UInt8(hops)] + from + to + payload
    }

    /// One extension header of 8 bytes.
    static func extended(_ next: Int, _ payload: [UInt8]) -> [UInt8] { [UInt8(next), 0, 0, 0, 0, 0, 0, 0] + payload }

    static func tcp(_ source: Int, _ target: Int, flags: UInt8 = 0x18, options: Int = 12, _ data: [UInt8] = []) -> [UInt8] {
        big(source) + big(target) + big32(0x1122_3344) + big32(0x5566_7788) + [UInt8((20 + options) << 2), flags] + big(500) + big(0)
            + big(0)
            + [UInt8](repeating: 1, count: options) + data
    }

    static func udp(_ source: Int, _ target: Int, _ data: [UInt8] = []) -> [UInt8] {
        big(source) + big(target) + big(8 + data.count) + big(0) + data
    }

    static func icmp(_ type: UInt8, _ code: UInt8 = 0) -> [UInt8] { [type, code, 0, 0, 0, 1, 0, 2] + Array(repeating: 0xA5, count: 32) }

    static func arp(_ operation: Int, _ from: [UInt8] = [192, 0, 2, 11], _ to: [UInt8] = [192, 0, 2, 1]) -> [UInt8] {
        big(1) + big(0x800) + [6, 4] + big(operation) + guest + from + [UInt8](repeating: 0, count: 6) + to
    }

    static func mpls(_ labels: [Int], _ payload: [UInt8]) -> [UInt8] {
        labels.enumerated().flatMap { big32($1 << 12 | ($0 == labels.count - 1 ? 0x100 : 0) | 64) } + payload
    }

    static func pppoe(_ session: Int, _ proto: Int, _ payload: [UInt8]) -> [UInt8] {
        [0x11, 0] + big(session) + big(payload.count + 2) + big(proto) + payload
    }

    static func geneve(_ network: Int, _ type: Int, _ payload: [UInt8], options: Int = 0) -> [UInt8] {
        udp(50_000, 6081, [UInt8(options / 4), 0] + big(type) + big32(network << 8) + [UInt8](repeating: 7, count: options) + payload)
    }

    static let get = Array("GET / HTTP/1.1\r\nHost: guest\r\n\r\n".utf8)
}
