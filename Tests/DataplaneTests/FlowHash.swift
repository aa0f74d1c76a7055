// SPDX-License-Identifier: LGPL-2.1-or-later

/// The hash that chooses flows, as bpf/flow.h describes it, written once more from the description.
enum FlowHash {
    private static let seed: UInt32 = 0x7674_6170

    private static func murmur3(_ words: [UInt32]) -> UInt32 {
        func rotate(_ word: UInt32, _ bits: UInt32) -> UInt32 { word << bits | word >> (32 - bits) }
        var hash = seed
        for word in words {
            hash ^= rotate(word &* 0xCC9E_2D51, 15) &* 0x1B87_3593
            hash = rotate(hash, 13) &* 5 &+ 0xE654_6B64
        }
        hash ^= UInt32(4 * words.count)
        hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
        hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
        return hash ^ hash >> 16
    }

    /// - Parameters: addresses as numbers.
    static func ipv4(_ source: UInt32, _ sourcePort: UInt16, _ destination: UInt32, _ destinationPort: UInt16, protocol number: UInt8)
        -> UInt32
    {
        let ends = [(source, sourcePort), (destination, destinationPort)].map { murmur3([0, 0, 0xFFFF, $0.0, UInt32($0.1)]) }
        return murmur3([ends.min()!, ends.max()!, UInt32(number)])
    }

    /// Whether `sample-flows="1/N"` chooses it.
    static func chooses(_ hash: UInt32, oneIn count: UInt64) -> Bool { UInt64(hash) < ((1 << 32) + count - 1) / count }
}
