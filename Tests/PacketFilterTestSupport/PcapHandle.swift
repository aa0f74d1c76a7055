// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap

/// What libpcap compiles for.
public final class PcapHandle {
    let pointer: OpaquePointer

    private init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { pcap_close(pointer) }

    /// Ethernet frames in a file: a VLAN tag is among the bytes.
    public static func offline() -> PcapHandle { PcapHandle(pcap_open_dead(DLT_EN10MB, 65_535)) }

    /// A device that is up: a VLAN tag may be in skb metadata. Any Ethernet device gives the same code; needs root.
    public static func live(on device: String = "lo") throws -> PcapHandle {
        var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
        guard let pointer = pcap_create(device, &message) else {
            throw PcapFilter.Refused(description: String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
        }
        let handle = PcapHandle(pointer)
        pcap_set_snaplen(pointer, 65_535)
        pcap_set_buffer_size(pointer, 1 << 20)
        guard pcap_activate(pointer) >= 0 else {
            throw PcapFilter.Refused(description: "\(device): \(String(cString: pcap_geterr(pointer)))")
        }
        return handle
    }
}
