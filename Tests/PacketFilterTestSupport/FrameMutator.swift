// SPDX-License-Identifier: LGPL-2.1-or-later

public import PacketFilter
import TestSupport

/// Makes other frames of frames: cut, bits turned, fields exchanged for values that filters look for, bytes put in or
/// taken out, tags, parts of others, and what a program looks for.
public struct FrameMutator: Sendable {
    /// TEST_RUN takes no shorter ones.
    public static let shortest = 14
    public static let longest = 1_500

    private var random: SeededGenerator
    private let frames: [[UInt8]]

    /// Numbers that expressions have, one or two bytes.
    private static let bytes: [UInt8] = [
        0, 1, 4, 5, 6, 8, 17, 20, 32, 40, 41, 43, 44, 50, 51, 58, 60, 64, 80, 0x45, 0x46, 0x4F, 0x50, 0x60, 0x80, 0xA0, 0xF0, 132, 255,
    ]
    private static let halves = [
        0, 1, 5, 7, 22, 53, 60, 80, 100, 443, 1500, 0x0800, 0x0806, 0x1FFF, 0x2000, 0x3FFF, 0x4500, 0x6558, 0x8035, 0x8100, 0x86DD, 0x8847,
        0x8863,
        0x8864, 0x88A8, 0x9100, 6081, 8080, 0xC000, 0xFFFF,
    ]

    /// What a program compares, and where that is in the frame.
    private let comparisons: [Comparison]

    private struct Comparison {
        var offset: Int
        var bytes: Int
        var value: UInt32
    }

    /// - Parameter program: frames are made to have, at times, what it looks for, or one more or less.
    public init(seed: UInt64, frames: [[UInt8]] = SampleFrames.all, program: [ClassicInstruction] = []) {
        random = SeededGenerator(seed: seed)
        self.frames = frames
        comparisons = program.indices.flatMap { Self.comparisons(program, $0) }
    }

    /// Of a load: what the program compares soon after it.
    private static func comparisons(_ program: [ClassicInstruction], _ place: Int) -> [Comparison] {
        let load = program[place]
        guard [0x20, 0x28, 0x30, 0x40, 0x48, 0x50].contains(load.code), load.constant < 1_400 else { return [] }
        // Offsets from X are mostly from behind an IPv4 header.
        let offset = Int(load.constant) + (load.code & 0x40 != 0 ? 20 : 0)
        let bytes = load.code & 0x18 == 0 ? 4 : load.code & 0x18 == 0x08 ? 2 : 1
        return program[(place + 1)...].prefix(6).filter { $0.code & 0x0F == 0x05 && $0.code != 0x05 }
            .map { Comparison(offset: offset, bytes: bytes, value: $0.constant) }
    }

    public mutating func next() -> [UInt8] {
        var frame = frames.randomElement(using: &random)!
        if random.once(in: 6) { return frame }
        if let comparison = comparisons.randomElement(using: &random), !random.once(in: 3) { satisfy(comparison, &frame) }
        for _ in 0..<Int.random(in: 0...3, using: &random) { change(&frame) }
        if frame.count < Self.shortest { frame += [UInt8](repeating: 0, count: Self.shortest - frame.count) }
        return Array(frame.prefix(Self.longest))
    }

    private mutating func satisfy(_ comparison: Comparison, _ frame: inout [UInt8]) {
        guard comparison.offset + comparison.bytes <= frame.count else { return }
        let value = comparison.value &+ [0, 0, 0, 1, UInt32.max].randomElement(using: &random)!
        let bytes = Layers.big32(Int(value)).suffix(comparison.bytes)
        frame.replaceSubrange(comparison.offset..<comparison.offset + comparison.bytes, with: bytes)
    }

    private mutating func change(_ frame: inout [UInt8]) {
        // Headers are where filters look.
        let window = max(1, random.once(in: 4) ? frame.count : min(frame.count, 80))
        let place = Int.random(in: 0..<window, using: &random)
        switch Int.random(in: 0..<10, using: &random) {
        case 0: frame = Array(frame.prefix(place))
        case 1: frame.indices.contains(place) ? frame[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) : ()
        case 2: frame.indices.contains(place) ? frame[place] = UInt8.random(in: 0...255, using: &random) : ()
        case 3, 4: frame.indices.contains(place) ? frame[place] = Self.bytes.randomElement(using: &random)! : ()
        case 5, 6:
            let even = place & ~1
            guard even + 2 <= frame.count else { break }
            frame.replaceSubrange(even..<even + 2, with: Layers.big(Self.halves.randomElement(using: &random)!))
        case 7:
            frame.insert(contentsOf: [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: 4), at: min(place, frame.count))
        case 8:
            guard frame.count >= 12 else { break }
            frame.insert(
                contentsOf: Layers.big([0x8100, 0x88A8, 0x9100].randomElement(using: &random)!)
                    + Layers.big([0, 5, 7, 100].randomElement(using: &random)!), at: 12)
        default:
            let other = frames.randomElement(using: &random)!
            frame = Array(frame.prefix(place)) + other.dropFirst(place)
        }
    }
}
