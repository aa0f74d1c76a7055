// SPDX-License-Identifier: LGPL-2.1-or-later

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators"): the same numbers for the same
/// seed everywhere, so that a failure can be repeated.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// Any number is a seed.
    public init(seed: UInt64) { state = seed }

    /// The next number, of all that 64 bits can hold.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// True for one number in `count`.
    public mutating func once(in count: UInt64) -> Bool { next() % count == 0 }
}
