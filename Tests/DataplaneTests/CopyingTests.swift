// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import DataplaneTestSupport
import TapModel
import Testing

extension KernelSuite {
    @Suite("Copies and originals")
    struct CopyingTests {
        @Test("Copies are byte-exact in both directions, originals are untouched, counters are exact", arguments: Mechanism.here)
        func copiesBothDirections(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let (sent, areWhole) = try tapped.exchange(50)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(100) == sent)

            let counters = try tapped.counters(desired)
            for (direction, frames) in [(Direction.outbound, sent.prefix(50)), (.inbound, sent.suffix(50))] {
                #expect(counters[direction]?.copied == Counter(frames))
                #expect(counters[direction]?.seen == Counter(frames))
                #expect(counters[direction]?.errors == Counter())
                #expect(counters[direction]?.marked == Counter())
            }
            #expect(try tapped.dataplane.destinations().map(\.sent) == [Counter(sent)])

            let observed = try #require(try tapped.dataplane.attachment(desired.key.id))
            #expect(observed.satisfies(desired))
            #expect(
                observed.hooks == [.inbound: .attached(position: 0, foreignAhead: 0), .outbound: .attached(position: 0, foreignAhead: 0)])
            #expect(try tapped.dataplane.attachments() == [observed])
        }

        @Test("One direction alone", arguments: Mechanism.here, [Direction.inbound, .outbound])
        func copiesOneDirection(_ mechanism: Mechanism, _ direction: Direction) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach(direction == .inbound ? .inbound : .outbound)
            let (sent, areWhole) = try tapped.exchange(10)
            #expect(areWhole)
            #expect(tapped.bench.sensor.receive(10) == Array(direction == .outbound ? sent.prefix(10) : sent.suffix(10)))
            #expect(Set(try tapped.counters(desired).keys) == [direction])
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
        }
    }
}
