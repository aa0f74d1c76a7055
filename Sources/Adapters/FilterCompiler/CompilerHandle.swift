// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Glibc

/// The handle that libpcap compiles with.
///
/// Only one that was activated on a device emits the code for `vlan` that also asks for the tag which the kernel keeps
/// beside the frame (BPF_SPECIAL_VLAN_HANDLING in its sources); there is no other way to get that flag. `lo` is in every
/// network namespace, and to libpcap an Ethernet device.
enum CompilerHandle {
    /// What a match returns; of both handles alike, so that a filter without `vlan` compiles to the same instructions.
    private static let snaplen: Int32 = 262_144
    /// For Local Experimental use (IEEE 802): no frame on `lo` has it, so that none is copied to the socket.
    private static let protocolOfNobody: Int32 = 0x88B5

    /// Takes some 30 ms, since the kernel waits until nobody uses a packet socket that was closed.
    /// - Returns: a handle to compile with, and maybe an open socket; where there can be none, a dead one; `nil`: no memory.
    static func live() -> (handle: OpaquePointer?, kind: HandleKind) {
        var words = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
        guard let live = pcap_create("lo", &words) else { return (dead(), .dead(PCAP_ERROR, "pcap_create")) }
        pcap_set_snaplen(live, snaplen)
        // The least that it takes, and no timer that hands it on.
        pcap_set_buffer_size(live, 4_096)
        pcap_set_immediate_mode(live, 1)
        pcap_set_protocol_linux(live, protocolOfNobody)
        let status = pcap_activate(live)
        guard status >= 0 else {
            let text = String(cString: pcap_statustostr(status)) + ": " + String(cString: pcap_geterr(live))
            pcap_close(live)
            return (dead(), .dead(status, text))
        }
        // Its socket goes with all other descriptors, and the handle stays: it is to compile.
        return (live, .live)
    }

    /// For expressions that do not ask about VLANs.
    static func dead() -> OpaquePointer? { pcap_open_dead(DLT_EN10MB, snaplen) }
}
