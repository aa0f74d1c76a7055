// SPDX-License-Identifier: LGPL-2.1-or-later

/// What was measured of one variant on one path with one size of frame.
struct VariantResult: Codable {
    let path: String
    let frame: String
    let variant: String
    let title: String
    let kind: Variant.Kind

    /// Nanoseconds of the processor for each written frame, of each sample that counts.
    private(set) var processor: [Double] = []
    private(set) var wall: [Double] = []
    /// The untapped path's beside it, and the sample's round.
    private(set) var beside: [Double] = []
    private(set) var rounds: [Int] = []
    /// Of the untapped path: one sample to the one before it.
    private(set) var noise: [Double] = []
    /// Why samples were thrown out.
    private(set) var objections: [String] = []
    private var failuresInARow = 0
    /// Why it cannot be measured here at all.
    var error: String?

    init(path: String, frame: String, _ variant: Variant) {
        self.path = path
        self.frame = frame
        self.variant = variant.name
        title = variant.title
        kind = variant.kind
    }

    func isWorthwhile(_ patience: Int) -> Bool { failuresInARow < patience }

    mutating func add(_ sample: Sample, round: Int?, untapped: Double?) {
        if let objection = sample.objection {
            objections.append(objection)
            failuresInARow += 1
            return
        }
        failuresInARow = 0
        processor.append(sample.processor)
        wall.append(sample.wall)
        if let round, let untapped {
            beside.append(untapped)
            rounds.append(round)
        }
    }

    mutating func addNoise(_ ratio: Double) { noise.append(ratio) }

    /// A figure counts only if its copies do, in nearly every sample.
    var counts: Bool { error == nil && !processor.isEmpty && objections.count * 10 <= processor.count }

    var nanoseconds: Quartiles? { counts ? Quartiles(processor) : nil }

    /// To the untapped path beside it.
    var ratio: Quartiles? {
        guard counts else { return nil }
        return kind == .untapped ? Quartiles(noise) : Quartiles(zip(processor, beside).map { $0 / $1 })
    }

    /// What it adds to the untapped path beside it, in nanoseconds a frame.
    var added: Quartiles? { counts && kind != .untapped ? Quartiles(zip(processor, beside).map { $0 - $1 }) : nil }

    /// What both add, in the rounds that both were measured in.
    func pairs(with other: VariantResult) -> [(own: Double, other: Double)] {
        guard counts, other.counts else { return [] }
        let others = Dictionary(zip(other.rounds, zip(other.processor, other.beside).map { $0 - $1 })) { $1 }
        return zip(rounds, zip(processor, beside)).compactMap { round, pair in
            others[round].map { (own: pair.0 - pair.1, other: $0) }
        }
    }
}
