// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel

/// Takes one sample: attaches, writes, counts at both far ends, detaches.
struct Sampler {
    let path: any ForwardingPath
    let clock: ProcessorClock

    /// - Throws: when the variant cannot be attached here.
    func sample(_ variant: Variant, _ frame: TestFrame, batch: Int) throws -> Sample {
        try path.prepare()
        let attached = try variant.attach(path)
        let result = Result { try measure(variant, attached, frame, batch: batch) }
        try attached.detach()
        return try result.get()
    }

    private func measure(_ variant: Variant, _ attached: any Attached, _ frame: TestFrame, batch: Int) throws -> Sample {
        try frame.bytes.withUnsafeBytes { bytes in
            let sensor: any CopyCount = attached.farEnd ?? path.sensor
            try warmUp(variant, frame, bytes, sensor, count: max(20, batch / 20))
            let countersBefore = try attached.counters()
            let originalsBefore = try path.peer.count()
            let copiesBefore = try sensor.count()

            let start = clock.read()
            try path.guest.write(bytes, times: batch)
            // The kernel has delivered everything by now, unless it put something off: that is part of the price.
            let least = variant.expected.range(of: frame, count: batch, seconds: 0).frames.lowerBound
            try drain(UInt64(batch), since: originalsBefore, path.peer, within: 0.5)
            try drain(least, since: copiesBefore, sensor, within: 0.1)
            let end = clock.read()

            let seconds = Double(end.wall - start.wall) / 1e9
            let originals = try path.peer.count() - originalsBefore
            let copies = try sensor.count() - copiesBefore
            var objection: String?
            if originals.frames != UInt64(batch) || originals.bytes != UInt64(batch * frame.length) {
                objection = "\(originals.frames) of \(batch) originals arrived, \(originals.bytes) bytes"
            } else {
                objection = Self.objection(variant, frame, batch, seconds, copies)
            }
            if objection == nil, let before = countersBefore, let after = try attached.counters() {
                objection = Self.objection(variant, frame, batch, copies, before, after)
            }
            return Sample(
                processor: Double(end.processor - start.processor) / Double(batch), wall: Double(end.wall - start.wall) / Double(batch),
                objection: objection)
        }
    }

    /// Caches and branch predictors know the variant; a switch has made up its mind about the flow.
    private func warmUp(_ variant: Variant, _ frame: TestFrame, _ bytes: UnsafeRawBufferPointer, _ sensor: any CopyCount, count: Int) throws
    {
        var hasArrived = false
        for _ in 0..<20 {
            let originals = try path.peer.count()
            let copies = try sensor.count()
            try path.guest.write(bytes, times: count)
            hasArrived = try drain(UInt64(count), since: originals, path.peer, within: 0.05) || hasArrived
            // A guest takes its copies when it can: none of these may be counted later.
            let least = variant.expected.range(of: frame, count: count, seconds: 0).frames.lowerBound
            try drain(least, since: copies, sensor, within: 0.05)
            if hasArrived && !path.decidesLate { return }
            // Once as many arrive as were written, and no latecomers, it is at rest.
            usleep(50_000)
            let expected = variant.expected.range(of: frame, count: count, seconds: 0.1)
            if try (path.peer.count() - originals).frames == UInt64(count), try expected.contains(sensor.count() - copies) { return }
        }
        // If only the copies are wrong, the sample will say so.
        guard hasArrived else { throw BenchmarkFailure("\(path.title): what the guest sends does not arrive") }
    }

    /// Waits until so many frames have arrived; `false` when they do not.
    @discardableResult
    private func drain(_ frames: UInt64, since before: FarEnd.Count, _ end: any CopyCount, within seconds: Double) throws -> Bool {
        if try (end.count() - before).frames >= frames { return true }
        let deadline = ProcessorClock.nanoseconds(CLOCK_MONOTONIC) + UInt64(seconds * 1e9)
        while ProcessorClock.nanoseconds(CLOCK_MONOTONIC) < deadline {
            if try (end.count() - before).frames >= frames { return true }
            usleep(100)
        }
        return false
    }

    // MARK: Whether it counts

    private static func objection(_ variant: Variant, _ frame: TestFrame, _ batch: Int, _ seconds: Double, _ copies: FarEnd.Count)
        -> String?
    {
        let range = variant.expected.range(of: frame, count: batch, seconds: seconds)
        guard !range.contains(copies) else { return nil }
        func text(_ range: ClosedRange<UInt64>) -> String {
            range.lowerBound == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
        }
        return "\(copies.frames) copies of \(copies.bytes) bytes arrived, where \(text(range.frames)) of \(text(range.bytes)) must"
    }

    /// What our own counters say must be what arrived, too, and every frame must be in one of them.
    private static func objection(
        _ variant: Variant, _ frame: TestFrame, _ batch: Int, _ copies: FarEnd.Count, _ before: DirectionCounters,
        _ after: DirectionCounters
    ) -> String? {
        let copied = after.copied.packets - before.copied.packets
        let arrived = copies.frames * UInt64(variant.expected.packets(for: frame))
        guard copied == arrived else { return "the tap counted \(copied) packets copied, and \(arrived) arrived" }
        let seen = after.seen.packets - before.seen.packets
        var written = UInt64(batch * frame.segments.count)
        if case .whole(let times) = variant.expected, times > 1 { written *= UInt64(times) }
        return seen == written ? nil : "the tap counted \(seen) packets seen, and \(written) were written"
    }
}
