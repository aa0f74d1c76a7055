// SPDX-License-Identifier: LGPL-2.1-or-later

/// A hash that is the same in every process and version, for names that outlive the daemon: FNV-1a of 64 bits
/// (draft-eastlake-fnv). Somebody who looks for it can find a text with the hash of another.
enum StableHash {
    static func of(_ text: String) -> UInt64 {
        text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
