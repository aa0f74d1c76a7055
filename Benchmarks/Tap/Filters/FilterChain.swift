// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Glibc
import PacketFilter

/// Many filters of cls_bpf one behind the other on the guest's device, none of which matches.
///
/// It is the one way to the time of the kernel's own conversion of classic BPF, which no program can be had of to run by
/// itself: the same classifier runs it, the translated filter and the one in C on real frames, and the same number of
/// empty programs tells what the classifier itself costs.
struct FilterChain: Attached {
    static let length = 32

    private let path: any ForwardingPath

    enum Filter {
        case classic(CompiledExpression)
        case program(CInt)
    }

    init(_ filter: Filter, on path: any ForwardingPath) throws {
        self.path = path
        let pin = "/sys/fs/bpf/bench_filter"
        var words: String
        switch filter {
        case .classic(let expression):
            words = "bytecode '\(expression.bytecode)'"
        case .program(let program):
            guard bpf_obj_pin(program, pin) == 0 else { throw BenchmarkFailure(call: "pinning a filter") }
            words = "object-pinned \(pin)"
        }
        defer { unlink(pin) }
        var script = "qdisc add dev \(path.guest.name) clsact\n"
        // One that matches against all expectation makes a copy, which is seen.
        let action = "action mirred egress mirror dev \(path.destination)"
        for _ in 0..<Self.length { script += "filter add dev \(path.guest.name) ingress protocol all prio 1 bpf \(words) \(action)\n" }
        do { try run("tc", "-batch", "-", input: script) } catch {
            try? detach()
            throw error
        }
    }

    func detach() throws { try run("tc", "qdisc", "del", "dev", path.guest.name, "clsact") }

    /// For each expression the kernel's own, ours and the one in C; and one of empty programs. The benchmark's frames must
    /// match none of them.
    static func variants(_ cases: [FilterCase], _ peers: PeerObject) -> [Variant] {
        func chain(_ name: String, _ title: String, _ kind: Variant.Kind, _ filter: @escaping () throws -> Filter) -> Variant {
            Variant(name: name, title: title, kind: kind, expected: .whole(0)) { path in try FilterChain(filter(), on: path) }
        }
        var variants: [Variant] = []
        for filter in cases {
            let title = "`\(filter.expression)`"
            variants.append(
                chain("kernel:\(filter.peer)", "\(title), the kernel's own conversion", .peer) {
                    .classic(try CompiledExpression(filter.expression))
                })
            variants.append(
                Variant(name: "translated:\(filter.peer)", title: "\(title), translated", kind: .ours, expected: .whole(0)) { path in
                    let classic = try ClassicProgram(CompiledExpression(filter.expression).instructions)
                    let program = try HandWritten("bench_filter", FilterTranslation.translate(classic))
                    return try withExtendedLifetime(program) { try FilterChain(.program(program.program), on: path) }
                })
            variants.append(chain("c:\(filter.peer)", "\(title), in C", .floor) { .program(try peers.program(filter.peer)) })
        }
        variants.append(
            Variant(name: "empty", title: "returns 0", kind: .floor, expected: .whole(0)) { path in
                let program = try HandWritten.rejecting()
                return try withExtendedLifetime(program) { try FilterChain(.program(program.program), on: path) }
            })
        return variants
    }
}
