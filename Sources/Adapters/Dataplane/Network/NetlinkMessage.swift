// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl

/// A message of rtnetlink, copied out of the socket's buffer.
struct NetlinkMessage {
    let type: Int32
    private let payload: [UInt8]

    init(_ header: UnsafePointer<nlmsghdr>) {
        type = Int32(header.pointee.nlmsg_type)
        payload = [UInt8](UnsafeRawBufferPointer(start: mnl_nlmsg_get_payload(header), count: mnl_nlmsg_get_payload_len(header)))
    }

    /// The family's header (`ifinfomsg`, `tcmsg`, …); `nil` when the message is too short for it.
    func header<Header: BitwiseCopyable>(_: Header.Type) -> Header? {
        guard payload.count >= MemoryLayout<Header>.size else { return nil }
        return payload.withUnsafeBytes { $0.loadUnaligned(as: Header.self) }
    }

    func attributes<Header>(after _: Header.Type) -> NetlinkAttributes {
        NetlinkAttributes(payload.dropFirst((MemoryLayout<Header>.size + 3) & ~3))
    }
}
