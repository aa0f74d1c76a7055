// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapModel
import Testing

@Suite("The spec that is pinned with an attachment")
struct PinnedSpecTests {
    /// Written by the build of 1 December 2026, when the options were called `wish` and `resolvesOffloads` was `finished`.
    private static let former =
        #"{"build":"0123abcd","clsact":{"handle":3,"priority":49152},"destinationKind":"interface","domainName":"web1","#
        + #""inboundProgram":7,"interface":{"alias":"net0","device":"vnet0","isMacvtap":false,"mac":"52:54:00:12:34:56","#
        + #""traits":{"address":"fe:54:00:12:34:56","bridge":"br0"},"type":"bridge"},"#
        + #""key":{"domain":"c7a5fdbd-edaf-9455-926a-d65c16db1809","ifindex":21,"origin":"domain","tap":"span"},"#
        + #""mechanism":"clsact","outboundProgram":8,"since":"1970-01-01T00:16:40Z","#
        + #""wish":{"destination":"ids","direction":"both","filter":"port 53","finished":true,"#
        + #""mark":{"mask":2130710655,"value":1442844692},"once":true,"#
        + #""rate":{"burst":65536,"burstText":"64k","perSecond":100000000,"text":"100mbit","unit":"bitsPerSecond"},"#
        + #""sampling":{"flows":{"oneIn":16}},"snaplen":"128"}}"#

    @Test("A spec of a former build is read")
    func read() throws {
        let spec = try JSONDecoder().decode(AttachmentSpec.self, from: Data(Self.former.utf8))
        #expect(spec.key.ifindex == 21 && spec.key.tap.text == "span" && spec.domainName == "web1" && spec.mechanism == .clsact)
        #expect(spec.interface.device == "vnet0" && spec.interface.traits?.bridge == "br0" && spec.destinationKind == .interface)
        #expect(spec.options.resolvesOffloads && spec.options.once && spec.options.snaplen == .bytes(128) && spec.needsRelay)
        #expect(spec.options.sampling == .flows(oneIn: 16) && spec.options.rate?.burst == 65_536 && spec.options.filter == "port 53")
        #expect(spec.build == "0123abcd" && spec.since == Timestamp(seconds: 1_000))
        #expect(spec.program(.inbound) == 7 && spec.program(.outbound) == 8 && spec.clsact == .init(priority: 49_152, handle: 3))
    }

    @Test("It is written with the same keys and values")
    func written() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let spec = try JSONDecoder().decode(AttachmentSpec.self, from: Data(Self.former.utf8))
        #expect(String(decoding: try encoder.encode(spec), as: UTF8.self) == Self.former)
    }

    @Test("Keys of what is not chosen may be missing")
    func optional() throws {
        let text =
            #"{"build":"b","destinationKind":"vxlan","domainName":"web1","interface":{"device":"vnet0","isMacvtap":false,"#
            + #""mac":"52:54:00:12:34:56","type":"bridge"},"key":{"domain":"c7a5fdbd-edaf-9455-926a-d65c16db1809","ifindex":21,"#
            + #""origin":"domain","tap":"span"},"mechanism":"tcx","since":"1970-01-01T00:16:40Z","#
            + #""wish":{"destination":"far","direction":"inbound","mark":{"mask":1,"value":1}}}"#
        let spec = try JSONDecoder().decode(AttachmentSpec.self, from: Data(text.utf8))
        #expect(!spec.options.resolvesOffloads && !spec.options.once && spec.options.filter == nil && spec.needsRelay)
        #expect(spec.inboundProgram == nil && spec.clsact == nil && spec.interface.alias == nil)
    }
}
