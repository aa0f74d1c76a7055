// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// What must arrive at the copies' far end, or a variant's figure does not count.
enum CopyExpectation: Equatable {
    /// This number of whole copies of each frame; of a GSO packet as many GSO packets.
    case whole(Int)
    /// One copy of each frame, at most this many bytes long; of a GSO packet one of each segment, as a wire would have carried them.
    case truncated(to: Int)
    /// A whole copy of one frame in this many, at random.
    case share(oneIn: Int)
    /// One copy of each frame behind this many bytes of outer headers; of a GSO packet one of all, or one of each segment.
    case encapsulated(in: Int)
    /// One copy of each frame, truncated and then encapsulated; of a GSO packet one of each segment.
    case truncatedAndEncapsulated(to: Int, in: Int)
    /// Whole copies, at most `perSecond` packets per second and `burst` at once.
    case limited(perSecond: Int, burst: Int)

    struct Range {
        var frames: ClosedRange<UInt64>
        /// Of all of them together.
        var bytes: ClosedRange<UInt64>

        func contains(_ count: FarEnd.Count) -> Bool { frames.contains(count.frames) && bytes.contains(count.bytes) }
    }

    /// - Parameter seconds: how long it took to write them.
    func range(of frame: TestFrame, count: Int, seconds: Double) -> Range {
        func whole(_ frames: ClosedRange<Int>) -> Range {
            Range(
                frames: UInt64(frames.lowerBound)...UInt64(frames.upperBound),
                bytes: UInt64(frames.lowerBound * frame.length)...UInt64(frames.upperBound * frame.length))
        }
        switch self {
        case .whole(let times):
            return whole(times * count...times * count)
        case .truncated(let length):
            let frames = UInt64(count * frame.segments.count)
            let bytes = UInt64(count * frame.segments.reduce(0) { $0 + min($1, length) })
            return Range(frames: frames...frames, bytes: bytes...bytes)
        case .encapsulated(let overhead):
            let segments = frame.segments.count
            let bytes = segments == 1 ? frame.length : frame.segments.reduce(0, +)
            return Range(
                frames: UInt64(count)...UInt64(count * segments),
                bytes: UInt64(count * (frame.length + overhead))...UInt64(count * (bytes + segments * overhead)))
        case .truncatedAndEncapsulated(let length, let overhead):
            let frames = UInt64(count * frame.segments.count)
            let bytes = UInt64(count * frame.segments.reduce(0) { $0 + min($1, length) + overhead })
            return Range(frames: frames...frames, bytes: bytes...bytes)
        case .share(let oneIn):
            // Six standard deviations: one sample in a thousand million is thrown out wrongly.
            let share = 1 / Double(oneIn)
            let middle = Double(count) * share
            let deviation = 6 * (Double(count) * share * (1 - share)).squareRoot()
            return whole(max(0, Int(middle - deviation))...min(count, Int(middle + deviation) + 1))
        case .limited(let perSecond, let burst):
            // A GSO packet is let through as a whole.
            let most = (Double(burst) + Double(perSecond) * seconds * 1.05) / Double(frame.segments.count)
            return whole(0...min(count, Int(most) + 2))
        }
    }

    /// How many packets, as our counters count, one arrival at the far end stands for.
    func packets(for frame: TestFrame) -> Int {
        switch self {
        case .truncated, .truncatedAndEncapsulated: 1
        default: frame.segments.count
        }
    }
}
