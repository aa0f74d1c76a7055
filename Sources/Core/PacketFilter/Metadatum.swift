// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a filter can ask about a frame beside its bytes.
enum Metadatum: Hashable, Sendable {
    /// Bytes of the frame; a VLAN tag beside it does not count.
    case length
    /// TCI of the tag beside the frame, 0 without one. All 16 bits, whatever the width of the load, as in the kernel.
    case vlanTag
    /// 1 if there is a tag beside the frame, else 0.
    case vlanTagPresent
    /// Its TPID, such as 0x8100; 0 without one.
    case vlanProtocol

    /// Where `struct __sk_buff` of linux/bpf.h has it, 32 bits.
    var offset: Int16 {
        switch self {
        case .length: 0
        case .vlanTagPresent: 20
        case .vlanTag: 24
        case .vlanProtocol: 28
        }
    }
}
