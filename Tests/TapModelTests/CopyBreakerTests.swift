// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

@testable import TapModel

/// The host's `<limit>`, on counters that a test moves.
@Suite("The host's limit")
struct CopyBreakerTests {
    /// What is offered to destinations, in bytes a second; counted as sent, or as errors while copying is stopped.
    private struct Host {
        var breaker = CopyBreaker()
        var limit: RateLimit? = megabit(8)
        var records: [String: DestinationRecord] = [:]
        var now = 100.0

        static func megabit(_ count: UInt64, burst: UInt64? = nil) -> RateLimit {
            RateLimit(perSecond: count * 1_000_000, unit: .bitsPerSecond, burst: burst, text: "\(count)mbit", burstText: nil)
        }

        init(limit: RateLimit? = megabit(8)) {
            self.limit = limit
            breaker.update(with: [], limit: limit, now: now)
        }

        var stopped: Set<String> { Set(breaker.failures.keys) }

        mutating func pass(_ offered: [String: UInt64], seconds: Int = 1, spared: Counter = Counter()) {
            for _ in 0..<seconds {
                for (label, bytes) in offered {
                    var record = records[label] ?? DestinationRecord(label: label, kind: .interface, ifindex: 1)
                    let frames = Counter(packets: bytes / 1_000, bytes: bytes)
                    if stopped.contains(label) {
                        record.errors += frames
                        record.wanted += Counter(packets: frames.packets - spared.packets, bytes: frames.bytes - spared.bytes)
                    } else {
                        record.sent += frames
                        record.given += Counter(packets: frames.packets - spared.packets, bytes: frames.bytes - spared.bytes)
                    }
                    records[label] = record
                }
                now += 1
                breaker.update(with: Array(records.values), limit: limit, now: now)
            }
        }
    }

    @Test func belowItNothingStops() {
        var host = Host()
        host.pass(["a": 500_000, "b": 499_000], seconds: 100)
        #expect(host.stopped.isEmpty)
    }

    @Test func theHeaviestStopsAndTheRestGoesOn() {
        var host = Host()
        host.pass(["a": 400_000, "b": 3_000_000, "c": 300_000])
        #expect(host.stopped == ["b"])
        let failure = host.breaker.failures["b"]
        #expect(failure?.reason == .destinationOverloaded)
        #expect(
            failure?.message
                == "destination b: this host's copies came to 29.6 Mbit/s, over its <limit> of 8mbit, 24 Mbit/s of it to this destination, so "
                + "copying to it is stopped; it is tried again within 10 s; copy less (filter, sample, snaplen, rate), or raise the limit")
        host.pass(["a": 400_000, "b": 3_000_000, "c": 300_000], seconds: 5)
        #expect(host.stopped == ["b"])
    }

    @Test func soManyStopThatTheRestFits() {
        var host = Host()
        host.pass(["a": 900_000, "b": 3_000_000, "c": 2_000_000])
        #expect(host.stopped == ["b", "c"])
    }

    @Test func littleTooMuchIsToleratedForAWhile() {
        var host = Host()
        host.pass(["a": 1_100_000], seconds: 9)
        #expect(host.stopped.isEmpty)
        host.pass(["a": 1_100_000], seconds: 3)
        #expect(host.stopped == ["a"])
        // And what stays below pays it off.
        var other = Host()
        for _ in 1...30 {
            other.pass(["a": 1_900_000])
            other.pass(["a": 100_000])
        }
        #expect(other.stopped.isEmpty)
    }

    @Test func theBurstSaysHowMuchMayExceedIt() {
        var small = Host(limit: Host.megabit(8, burst: 10_000))
        small.pass(["a": 1_009_000])
        #expect(small.stopped.isEmpty)
        small.pass(["a": 1_009_000])
        #expect(small.stopped == ["a"])
    }

    @Test func itResumesAsSoonAsItFits() {
        var host = Host()
        host.pass(["a": 400_000, "b": 3_000_000])
        host.pass(["a": 400_000, "b": 300_000], seconds: 2)
        #expect(host.stopped == ["b"], "not at once")
        host.pass(["a": 400_000, "b": 300_000])
        #expect(host.stopped.isEmpty)
        host.pass(["a": 400_000, "b": 300_000], seconds: 60)
        #expect(host.stopped.isEmpty)
    }

    /// What its taps count while it is stopped does not show how much they would cut.
    @Test func itIsTriedAgainWhateverItCounts() {
        var host = Host()
        host.pass(["a": 3_000_000])
        host.pass(["a": 3_000_000], seconds: 9)
        #expect(host.stopped == ["a"])
        host.pass(["a": 3_000_000])
        #expect(host.stopped.isEmpty, "after ten seconds")
        // It was too much, so the next pause is longer,
        host.pass(["a": 3_000_000])
        #expect(host.stopped == ["a"])
        host.pass(["a": 3_000_000], seconds: 19)
        #expect(host.stopped == ["a"])
        host.pass(["a": 3_000_000])
        #expect(host.stopped.isEmpty)
        // but has a bound,
        var pauses: [Int] = []
        for _ in 1...8 {
            host.pass(["a": 3_000_000])
            var pause = 0
            while host.stopped == ["a"] {
                host.pass(["a": 3_000_000])
                pause += 1
            }
            pauses.append(pause)
        }
        #expect(pauses.max() == 320)
        // and what has run for long begins anew.
        host.pass(["a": 500_000], seconds: 1_000)
        host.pass(["a": 5_000_000])
        host.pass(["a": 5_000_000], seconds: 9)
        #expect(host.stopped == ["a"])
        host.pass(["a": 5_000_000])
        #expect(host.stopped.isEmpty)
    }

    @Test func whatTheDeviceWasNotGivenDoesNotCount() {
        var host = Host()
        host.pass(["a": 3_000_000], seconds: 30, spared: Counter(packets: 0, bytes: 2_900_000))
        #expect(host.stopped.isEmpty)
        host = Host(limit: RateLimit(perSecond: 1_000, unit: .packetsPerSecond, burst: nil, text: "1kpps", burstText: nil))
        host.pass(["a": 3_000_000], seconds: 30, spared: Counter(packets: 2_900, bytes: 0))
        #expect(host.stopped.isEmpty)
    }

    @Test func packetsCanBeLimitedToo() {
        var host = Host(limit: RateLimit(perSecond: 1_000, unit: .packetsPerSecond, burst: 100, text: "1kpps", burstText: "100"))
        host.pass(["a": 1_050_000, "b": 40_000])
        #expect(host.stopped.isEmpty)
        host.pass(["a": 1_050_000, "b": 40_000])
        #expect(host.stopped == ["a"])
        #expect(host.breaker.failures["a"]?.message.contains("1090 packets/s, over its <limit> of 1kpps") == true)
    }

    @Test func anotherLimitBeginsAnew() {
        var host = Host()
        host.pass(["a": 3_000_000])
        #expect(host.stopped == ["a"])
        host.limit = Host.megabit(100)
        host.pass(["a": 3_000_000])
        #expect(host.stopped.isEmpty)
        host.limit = nil
        host.pass(["a": 30_000_000], seconds: 5)
        #expect(host.stopped.isEmpty)
    }

    /// The place in the kernel's table was given to another, whose counts begin at zero; or the destination is no more.
    @Test func countsThatGoBackAreNoFlood() {
        var host = Host()
        host.pass(["a": 900_000], seconds: 50)
        host.records["a"] = DestinationRecord(label: "a", kind: .interface, ifindex: 1)
        host.pass(["a": 900_000], seconds: 50)
        #expect(host.stopped.isEmpty)
        host.pass(["a": 9_000_000])
        host.records["a"] = nil
        host.pass([:])
        #expect(host.stopped.isEmpty)
    }
}
