// SPDX-License-Identifier: LGPL-2.1-or-later

/// What ought to be reached, of what was measured: looked up in a report.
struct Aims {
    private let report: Report

    init(_ report: Report) { self.report = report }

    var all: [Aim] { copying + feeding + encapsulating + rejecting + sampling + filters }

    private func results(_ frame: TestFrame) -> [String: VariantResult] {
        Dictionary(report.paths.filter { $0.frame == frame.name && $0.path == BridgePath.name }.map { ($0.variant, $0) }) { $1 }
    }

    private var frames: [TestFrame] { TestFrame.all.filter { !results($0).isEmpty } }

    /// What one adds to what the other adds, in each round.
    private func addedRatio(_ own: VariantResult?, _ other: VariantResult?) -> Quartiles? {
        guard let own, let other else { return nil }
        return Quartiles(own.pairs(with: other).filter { $0.other > 0 }.map { $0.own / $0.other })
    }

    /// The path with one to the path with the other.
    private func pathRatio(_ own: VariantResult?, _ other: VariantResult?) -> Quartiles? {
        guard let own, let other, let untapped = Quartiles(own.beside)?.median else { return nil }
        return Quartiles(own.pairs(with: other).map { (untapped + $0.own) / (untapped + $0.other) })
    }

    private var copying: [Aim] {
        frames.compactMap { frame in
            let results = results(frame)
            guard results["tap"] != nil, results["mirred"] != nil else { return nil }
            return Aim(
                what: "copying everything: what it adds, to what tc mirred adds; \(frame.label)", most: 1,
                reached: addedRatio(results["tap"], results["mirred"]))
        }
    }

    private var feeding: [Aim] {
        frames.compactMap { frame in
            let results = results(frame)
            guard results["sensor"] != nil, results["tap"] != nil else { return nil }
            return Aim(
                what: "into a sensor VM: what it adds, to what a copy into a veth adds; \(frame.label)", most: 1,
                reached: addedRatio(results["sensor"], results["tap"]))
        }
    }

    private var encapsulating: [Aim] {
        frames.compactMap { frame in
            let results = results(frame)
            guard results["vxlan"] != nil, results["vxlan-mirred"] != nil else { return nil }
            // What has to be repaired costs more; then no more than there.
            let most = frame.segments.count > 1 ? 1 : 0.65
            return Aim(
                what: "by VXLAN: what it adds, to what mirred into the kernel's vxlan device adds; \(frame.label)", most: most,
                reached: addedRatio(results["vxlan"], results["vxlan-mirred"]))
        }
    }

    private var rejecting: [Aim] { frames.flatMap { rejecting($0) } }

    private func rejecting(_ frame: TestFrame) -> [Aim] {
        let results = results(frame)
        guard let own = results["reject"] else { return [] }
        var aims = [Aim(what: "a filter that rejects: the path, to no tap; \(frame.label)", most: 1.05, reached: own.ratio)]
        for (name, title) in [("reject-bpf", "cls_bpf"), ("reject-u32", "u32")] {
            guard let peer = results[name] else { continue }
            let what = "a filter that rejects: the path, to the path with \(title); \(frame.label)"
            aims.append(Aim(what: what, most: 1, reached: pathRatio(own, peer)))
        }
        return aims
    }

    private var sampling: [Aim] {
        frames.compactMap { frame in
            results(frame)["sample-100"].map {
                Aim(what: "sample 1/100: the path, to no tap; \(frame.label)", most: 1.1, reached: $0.ratio)
            }
        }
    }

    private var filters: [Aim] {
        report.filters.map { result in
            let what =
                "filter `\(result.expression)`, frame that \(result.matches ? "matches" : "is rejected"): to C, each less an empty one"
            return Aim(what: what, most: 1.2, reached: result.ratio(to: .c))
        }
    }
}
