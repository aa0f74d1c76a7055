// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import TapModel

/// Every variant that can be measured on a path. All of them look at what the guest sends: TC ingress of its device.
struct VariantCatalogue {
    private let dataplane: KernelDataplane
    /// Matches no frame of the benchmark, and can say so only at its ports; the other matches all of them.
    private let rejecting: CompiledExpression
    private let matching: CompiledExpression

    init(_ dataplane: KernelDataplane) throws {
        self.dataplane = dataplane
        rejecting = try CompiledExpression("tcp port 443")
        matching = try CompiledExpression("tcp port 5000")
    }

    static var untapped: Variant {
        Variant(name: "untapped", title: "no tap", kind: .untapped, expected: .whole(0)) { _ in Untapped() }
    }

    /// On any path.
    var all: [Variant] { copying + feeding + encapsulating + rejectingAll + matchingAll + thinning + floors }

    private func ours(
        _ name: String, _ title: String, _ expected: CopyExpectation, taps: Int = 1, mechanism: Mechanism? = nil,
        _ options: OwnTap.Options = OwnTap.Options()
    ) -> Variant {
        Variant(name: name, title: title, kind: .ours, expected: expected) { [dataplane] path in
            try OwnTap(dataplane, on: path, taps: taps, mechanism: mechanism, options)
        }
    }

    private func peer(
        _ name: String, _ title: String, _ expected: CopyExpectation, protocol: String = "all", _ matches: [String], copies: Int = 1
    ) -> Variant {
        Variant(name: name, title: title, kind: .peer, expected: expected) { path in
            try TcFilters(on: path, protocol: `protocol`, matches, copies: copies)
        }
    }

    /// u32 for a TCP port, either way; it takes for granted that there are no IP options, which the others do not.
    private func u32(port: Int) -> [String] {
        ["sport", "dport"].map { "u32 match ip protocol 6 0xff match ip \($0) \(port) 0xffff" }
    }

    private var copying: [Variant] {
        [
            ours("tap", "our tap, everything", .whole(1)),
            ours("resolved", "our tap, everything as on a wire (`mtu`)", .truncated(to: .max), .init(mtu: 1_500)),
            ours("tap-clsact", "our tap by clsact, everything", .whole(1), mechanism: .clsact),
            peer("mirred", "tc mirred (u32), everything", .whole(1), ["u32 match u32 0 0"]),
            ours("three-taps", "three of our taps, everything", .whole(3), taps: 3),
            peer("three-mirred", "tc mirred (u32) three times", .whole(3), ["u32 match u32 0 0"], copies: 3),
        ]
    }

    private var feeding: [Variant] {
        [
            Variant(name: "port", title: "our tap into a monitor port, everything", kind: .ours, expected: .whole(1)) {
                [dataplane] in try PortTap(dataplane, on: $0)
            },
            Variant(name: "sensor", title: "our tap into a sensor VM's tap device, everything", kind: .ours, expected: .whole(1)) {
                [dataplane] in try SensorTap(dataplane, on: $0)
            },
            Variant(
                name: "sensor-snaplen", title: "our tap into a sensor VM's tap device, snaplen 128", kind: .ours,
                expected: .truncated(to: 128)
            ) {
                [dataplane] in try SensorTap(dataplane, on: $0, .init(snaplen: .bytes(128)))
            },
            Variant(
                name: "sensor-mirred", title: "tc mirred (u32) into a sensor VM's tap device", kind: .peer, expected: .whole(1)
            ) { try SensorFilters(on: $0) },
        ]
    }

    private var encapsulating: [Variant] {
        func ours(_ name: String, _ title: String, _ expected: CopyExpectation, _ options: OwnTap.Options = OwnTap.Options()) -> Variant {
            Variant(name: name, title: title, kind: .ours, expected: expected) { [dataplane] in try TunnelTap(dataplane, on: $0, options) }
        }
        let peer = Variant(
            name: "vxlan-mirred", title: "tc mirred (u32) into the kernel's vxlan device", kind: .peer,
            expected: .encapsulated(in: TunnelLink.overhead)
        ) { try TunnelFilters(on: $0) }
        let truncated = CopyExpectation.truncatedAndEncapsulated(to: 128, in: TunnelLink.overhead)
        return [
            ours("vxlan", "our tap by VXLAN, everything", .encapsulated(in: TunnelLink.overhead)), peer,
            ours("vxlan-snaplen", "our tap by VXLAN, snaplen 128", truncated, .init(snaplen: .bytes(128))),
        ]
    }

    private var rejectingAll: [Variant] {
        [
            ours("reject", "our tap, `tcp port 443`: rejects all", .whole(0), .init(filter: rejecting.compiled)),
            ours(
                "reject-clsact", "our tap by clsact, `tcp port 443`: rejects all", .whole(0), mechanism: .clsact,
                .init(filter: rejecting.compiled)),
            peer("reject-bpf", "cls_bpf with the same cBPF: rejects all", .whole(0), ["bpf bytecode '\(rejecting.bytecode)'"]),
            peer("reject-u32", "u32 for TCP port 443, two filters: rejects all", .whole(0), protocol: "ip", u32(port: 443)),
            peer(
                "reject-u32-one", "u32, one address that never comes", .whole(0), protocol: "ip", ["u32 match ip dst 192.0.2.99/32"]),
        ]
    }

    private var matchingAll: [Variant] {
        [
            ours("match", "our tap, `tcp port 5000`: copies all", .whole(1), .init(filter: matching.compiled)),
            peer("match-bpf", "cls_bpf with the same cBPF and mirred: copies all", .whole(1), ["bpf bytecode '\(matching.bytecode)'"]),
            peer("match-u32", "u32 for TCP port 5000 and mirred: copies all", .whole(1), protocol: "ip", u32(port: 5_000)),
        ]
    }

    private var thinning: [Variant] {
        let rate = RateLimit(perSecond: 1_000, unit: .packetsPerSecond, burst: 100, text: "1000pps", burstText: "100")
        return [
            ours("snaplen", "our tap, snaplen 128", .truncated(to: 128), .init(snaplen: .bytes(128))),
            ours("sample-10", "our tap, sample 1/10", .share(oneIn: 10), .init(sampling: .packets(oneIn: 10))),
            ours("sample-100", "our tap, sample 1/100", .share(oneIn: 100), .init(sampling: .packets(oneIn: 100))),
            ours("rate", "our tap, at most 1,000 packets/s", .limited(perSecond: 1_000, burst: 100), .init(rate: rate)),
        ]
    }

    private var floors: [Variant] {
        [
            Variant(name: "hook", title: "an empty program at the same hook point", kind: .floor, expected: .whole(0)) { path in
                try BareProgram(.passing(), on: path)
            },
            Variant(name: "clone", title: "nothing but bpf_clone_redirect", kind: .floor, expected: .whole(1)) { path in
                try BareProgram(.cloning(to: path.destinationIndex), on: path)
            },
        ]
    }
}
