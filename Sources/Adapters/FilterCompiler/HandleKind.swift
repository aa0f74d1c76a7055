// SPDX-License-Identifier: LGPL-2.1-or-later

/// With what a child compiled.
enum HandleKind: Hashable, Sendable {
    /// `vlan` means what it means to tcpdump on a device.
    case live
    /// `vlan` sees no tag that the kernel keeps beside the frame. The status of pcap_activate(3) and its words.
    case dead(Int32, String)
}
