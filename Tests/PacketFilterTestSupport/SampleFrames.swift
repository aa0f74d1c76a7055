// SPDX-License-Identifier: LGPL-2.1-or-later

/// Frames made by hand: something for each expression to find, and its near misses.
public enum SampleFrames {
    public static let all: [[UInt8]] = plainIP + six + others + carriers + tagged
    /// Those with one, two or three VLAN tags among their bytes.
    public static let tagged: [[UInt8]] = tagged(plainIP + six + others)
    /// TCP GSO packets, and where TCP begins in them.
    public static let superPackets: [(frame: [UInt8], transport: Int)] = {
        let data = Layers.get + [UInt8](repeating: 0x41, count: 6_000)
        let tcp = Layers.tcp(40_000, 80, data)
        return [
            (Layers.ethernet(0x800, Layers.ip(6, tcp)), 34), (Layers.ethernet(0x86DD, Layers.ip6(6, tcp)), 54),
            (Layers.ethernet(0x800, Layers.ip(6, tcp), tags: [(0x8100, 5)]), 38),
        ]
    }()

    private static let plainIP: [[UInt8]] = {
        let packets = [
            Layers.ip(6, Layers.tcp(40_000, 80, Layers.get)), Layers.ip(6, Layers.tcp(40_000, 80, options: 0)),
            Layers.ip(6, Layers.tcp(80, 40_000, flags: 0x12)), Layers.ip(6, Layers.tcp(40_000, 22, flags: 0x02, options: 20)),
            Layers.ip(6, Layers.tcp(40_000, 443, flags: 0x11, options: 0, Layers.get)),
            Layers.ip(6, Layers.tcp(40_000, 80, options: 0, Layers.get), options: 8),
            Layers.ip(6, Layers.tcp(8080, 80, flags: 0xC2), options: 40), Layers.ip(6, Layers.tcp(1, 2, flags: 0x04), fragment: 0x2000),
            Layers.ip(6, Layers.tcp(40_000, 80), fragment: 0x00B9), Layers.ip(17, Layers.udp(40_000, 53, [0x12, 0x34, 1, 0, 0, 1])),
            Layers.ip(17, Layers.udp(53, 53, [0x12, 0x34, 0x81, 0x80])), Layers.ip(17, Layers.udp(68, 67, Array(repeating: 0, count: 240))),
            Layers.ip(17, Layers.udp(40_000, 53), fragment: 0x4000), Layers.ip(17, Layers.udp(40_000, 53), options: 4),
            Layers.ip(17, Layers.udp(8500, 4789, Array(repeating: 0x41, count: 900))), Layers.ip(17, Layers.udp(0, 65_535)),
            Layers.ip(132, [0x13, 0xC4, 0x13, 0xC4, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 20]), Layers.ip(1, Layers.icmp(8)),
            Layers.ip(1, Layers.icmp(0)), Layers.ip(1, Layers.icmp(3, 1)), Layers.ip(1, Layers.icmp(11)),
            Layers.ip(1, Layers.icmp(5), options: 4),
            Layers.ip(2, [0x16, 0, 0, 0, 224, 0, 0, 251], to: [224, 0, 0, 251], ttl: 1), Layers.ip(9, [1, 2, 3, 4]),
            Layers.ip(103, [0x20, 0, 0, 0]),
            Layers.ip(112, [0x21, 1, 100, 1]), Layers.ip(47, [0, 0, 8, 0]), Layers.ip(50, [0, 0, 0, 1]), Layers.ip(51, [6, 4, 0, 0]),
            Layers.ip(17, Layers.udp(137, 137), to: [255, 255, 255, 255]),
            Layers.ip(17, Layers.udp(5353, 5353), to: [224, 0, 0, 251], ttl: 255),
            Layers.ip(6, Layers.tcp(50, 60), from: [10, 1, 2, 3], to: [10, 200, 0, 1], tos: 0xB8),
            Layers.ip(17, Layers.udp(50, 60), from: [172, 16, 3, 4], to: [192, 0, 2, 129]),
            Layers.ip(6, Layers.tcp(40_000, 80), from: [192, 0, 2, 2], to: [192, 0, 2, 3]), Array(Layers.ip(6, []).prefix(20)),
        ]
        return packets.map { Layers.ethernet(0x800, $0) }
    }()

    private static let six: [[UInt8]] = {
        let tcp = Layers.tcp(40_000, 80, Layers.get)
        let udp = Layers.udp(53, 53, [1, 2, 3, 4])
        let packets = [
            Layers.ip6(6, tcp), Layers.ip6(6, Layers.tcp(80, 40_000, flags: 2)), Layers.ip6(17, udp), Layers.ip6(17, Layers.udp(1, 2)),
            Layers.ip6(0, Layers.extended(6, tcp)), Layers.ip6(43, Layers.extended(17, udp)), Layers.ip6(60, Layers.extended(6, tcp)),
            Layers.ip6(44, [6, 0, 0, 1, 0, 0, 0, 9] + tcp), Layers.ip6(44, [17, 0, 0x05, 0xA8, 0, 0, 0, 9] + udp),
            Layers.ip6(0, Layers.extended(60, Layers.extended(44, Layers.extended(6, tcp)))), Layers.ip6(58, Layers.icmp(128)),
            Layers.ip6(58, Layers.icmp(129)), Layers.ip6(58, Layers.icmp(135), to: Layers.address6(1, 0xFF02_0000), hops: 255),
            Layers.ip6(58, Layers.icmp(134), from: Layers.address6(1, 0xFE80_0000)), Layers.ip6(58, Layers.icmp(1)),
            Layers.ip6(58, Layers.icmp(2)),
            Layers.ip6(51, [6, 4, 0, 0]), Layers.ip6(50, [0, 0, 0, 1]), Layers.ip6(103, [0x20, 0]), Layers.ip6(132, [0, 50, 0, 60]),
            Layers.ip6(59, [], from: Layers.address6(7), to: Layers.address6(1)),
        ]
        return packets.map { Layers.ethernet(0x86DD, $0) }
    }()

    private static let others: [[UInt8]] =
        [
            Layers.ethernet(0x806, Layers.arp(1), to: Layers.broadcast), Layers.ethernet(0x806, Layers.arp(2)),
            Layers.ethernet(0x806, Layers.arp(1, [10, 0, 0, 1], [192, 0, 2, 9]) + [UInt8](repeating: 0, count: 18)),
            Layers.ethernet(0x8035, Layers.arp(3, [192, 0, 2, 1], [10, 9, 8, 7])), Layers.ethernet(0x88CC, [2, 7, 4, 1, 2, 3, 4, 5]),
            Layers.ethernet(0x6003, [16, 0, 0x81, 2, 0, 2, 4, 1, 4, 0, 0, 0, 0]), Layers.ethernet(0x809B, [1, 2, 3]),
            Layers.ethernet(0x80F3, [1, 2]),
            Layers.ethernet(0x8137, [0xFF, 0xFF, 0, 30]), Layers.ethernet(0x9000, [0, 0, 1, 0]), Layers.ethernet(0x1234, [1]),
            Layers.ethernet(0x6001, []), Layers.ethernet(0x6002, []), Layers.ethernet(0x6004, []), Layers.ethernet(0x6007, []),
            Layers.llc([0x42, 0x42, 0x03], to: [0x01, 0x80, 0xC2, 0, 0, 0]), Layers.llc([0xAA, 0xAA, 0x03, 0, 0, 0, 8, 0]),
            Layers.llc([0xAA, 0xAA, 0x03, 8, 0, 7, 0x80, 0x9B]), Layers.llc([0xAA, 0xAA, 0x03, 0, 0, 0, 0x80, 0xF3]),
            Layers.llc([0xE0, 0xE0, 0x03]),
            Layers.llc([0xFF, 0xFF, 0, 30]), Layers.llc([0xF0, 0xF0, 0x03]), Layers.llc([0xFE, 0xFE, 0x03, 0x81, 0, 1]),
            Layers.llc([0xFE, 0xFE, 0x03, 0x82]), Layers.llc([0xAA, 0xAA, 0x03, 0, 0, 0, 0x81, 0x37]),
            Layers.llc([0xAA, 0xAA, 0x03, 0, 0, 0xF8, 8, 0]),
            Layers.ethernet(0x0000, []), Array(Layers.ethernet(0x800, []).prefix(14)), Layers.ethernet(0x800, [0x45]),
            Layers.ethernet(0x1234, [UInt8](repeating: 0xFF, count: 1486)), Layers.ethernet(0x1234, [UInt8](repeating: 0, count: 986)),
        ]
        + [15, 18, 20, 26, 31].map { type in Layers.llc([0xFE, 0xFE, 0x03, 0x83, 27, 1, 0, UInt8(type), 1, 0, 0]) }
        + [0x01, 0x05, 0x09, 0x03, 0x63, 0x43, 0x6F, 0xE3, 0xAF, 0x87].map { control in Layers.llc([0x06, 0x06, control, 0x00]) }

    /// Frames in frames.
    private static let carriers: [[UInt8]] = {
        let http = Layers.ip(6, Layers.tcp(40_000, 80, Layers.get))
        let dns = Layers.ip(17, Layers.udp(40_000, 53, [0x12, 0x34, 1, 0]), options: 8)
        let http6 = Layers.ip6(6, Layers.tcp(40_000, 80))
        var frames: [[UInt8]] = []
        for packet in [http, dns, http6] {
            for labels in [[16], [1000], [16, 17], [3, 16, 17]] { frames.append(Layers.ethernet(0x8847, Layers.mpls(labels, packet))) }
            for session in [1, 0x27] {
                frames.append(Layers.ethernet(0x8864, Layers.pppoe(session, packet[0] >> 4 == 6 ? 0x57 : 0x21, packet)))
            }
            let inner = Layers.ethernet(packet[0] >> 4 == 6 ? 0x86DD : 0x800, packet)
            let innerTagged = Layers.ethernet(0x800, packet, tags: [(0x8100, 5)])
            for options in [0, 8, 60] {
                frames.append(Layers.ethernet(0x800, Layers.ip(17, Layers.geneve(7, 0x6558, inner, options: options))))
            }
            frames.append(Layers.ethernet(0x800, Layers.ip(17, Layers.geneve(9, 0x6558, innerTagged), options: 4)))
            frames.append(Layers.ethernet(0x86DD, Layers.ip6(17, Layers.geneve(7, 0x6558, inner))))
            frames.append(Layers.ethernet(0x800, Layers.ip(17, Layers.geneve(7, packet[0] >> 4 == 6 ? 0x86DD : 0x800, packet))))
        }
        frames.append(Layers.ethernet(0x8863, [0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0]))
        frames.append(Layers.ethernet(0x800, Layers.ip(17, Layers.geneve(7, 0x6558, Layers.ethernet(0x806, Layers.arp(1))))))
        return frames
    }()

    private static func tagged(_ frames: [[UInt8]]) -> [[UInt8]] {
        let stacks: [[(Int, Int)]] = [
            [(0x8100, 5)], [(0x8100, 100)], [(0x8100, 0xE005)], [(0x8100, 0)], [(0x88A8, 5)], [(0x9100, 5)], [(0x88A8, 5), (0x8100, 7)],
            [(0x8100, 5), (0x8100, 7)], [(0x8100, 5), (0x88A8, 4095)], [(0x8100, 4095), (0x8100, 5), (0x8100, 7)],
        ]
        return frames.enumerated().flatMap { index, frame in
            (0..<2).map { turn in
                let tags = stacks[(index * 2 + turn) % stacks.count]
                return Array(frame.prefix(12)) + tags.flatMap { Layers.big($0.0) + Layers.big($0.1) } + frame.dropFirst(12)
            }
        }
    }
}
