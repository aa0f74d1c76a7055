// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// A socket of rtnetlink, for one request at a time. It belongs to the network namespace of the thread that opened it.
final class NetlinkSocket {
    private struct Answer {
        var messages: [NetlinkMessage] = []
        /// `false` when something changed while the kernel was listing.
        var isWhole = true
    }

    private let socket: OpaquePointer
    private let kernel: Kernel
    private var sequence: UInt32 = 0

    init(_ kernel: Kernel) throws {
        self.kernel = kernel
        if let number = kernel.fault?(.netlink) { throw KernelError(call: .netlink, number: number) }
        guard let socket = mnl_socket_open2(NETLINK_ROUTE, Int32(SOCK_CLOEXEC.rawValue)) else {
            throw KernelError(call: .netlink, number: errno, subject: "socket")
        }
        self.socket = socket
        guard mnl_socket_bind(socket, 0, 0) == 0 else { throw KernelError(call: .netlink, number: errno, subject: "bind") }
    }

    deinit { mnl_socket_close(socket) }

    /// Lists everything of one kind. Asks again, up to ten times, when something changed while the kernel was listing:
    /// such an answer may lack what existed all the time.
    /// - Throws: EAGAIN when the list keeps changing.
    func dump<Header>(_ type: Int32, _ header: Header) throws -> [NetlinkMessage] {
        try dump(type, header) { _ in
            throw KernelError(call: .netlink, number: EAGAIN, subject: "a list that keeps changing")
        }
    }

    /// Lists everything of one kind, and lets the caller combine the answers when the list keeps changing.
    /// - Parameter piecing: gets the messages of all answers, none of which is sure to be complete.
    func dump<Header>(
        _ type: Int32, _ header: Header, piecing: ([NetlinkMessage]) throws -> [NetlinkMessage]
    ) throws -> [NetlinkMessage] {
        var pieces: [NetlinkMessage] = []
        for _ in 0..<10 {
            let answer = try exchange(type, UInt16(NLM_F_DUMP), header)
            if answer.isWhole { return answer.messages }
            pieces += answer.messages
        }
        return try piecing(pieces)
    }

    /// Reads one object; `nil` when the kernel has none. Traffic control answers only requests with NLM_F_ECHO.
    func get<Header>(
        _ type: Int32, _ header: Header, put: (UnsafeMutablePointer<nlmsghdr>) -> Void = { _ in }
    ) throws -> NetlinkMessage? {
        do {
            return try exchange(type, UInt16(NLM_F_ACK | NLM_F_ECHO), header, put: put).messages.first
        } catch let error as KernelError where error.number == ENOENT {
            return nil
        }
    }

    /// Creates or removes an object whose kind an attribute names.
    func change<Header>(_ type: Int32, _ flags: UInt16, _ header: Header, kind: (attribute: Int, name: String)) throws {
        try change(type, flags, header) { mnl_attr_put_strz($0, UInt16(kind.attribute), kind.name) }
    }

    /// Creates, changes or removes an object that attributes describe.
    /// - Parameter put: adds the attributes to the message, which has room for a kilobyte.
    func change<Header>(_ type: Int32, _ flags: UInt16, _ header: Header, put: (UnsafeMutablePointer<nlmsghdr>) -> Void) throws {
        _ = try exchange(type, UInt16(NLM_F_ACK) | flags, header, put: put)
    }

    private func exchange<Header>(
        _ type: Int32, _ flags: UInt16, _ header: Header, put: (UnsafeMutablePointer<nlmsghdr>) -> Void = { _ in }
    ) throws -> Answer {
        sequence += 1
        var request = [UInt8](repeating: 0, count: 1_024)
        let sent = request.withUnsafeMutableBytes { buffer in
            let message = mnl_nlmsg_put_header(buffer.baseAddress)!
            message.pointee.nlmsg_type = UInt16(type)
            message.pointee.nlmsg_flags = UInt16(NLM_F_REQUEST) | flags
            message.pointee.nlmsg_seq = sequence
            let target = mnl_nlmsg_put_extra_header(message, MemoryLayout<Header>.size)!
            withUnsafeBytes(of: header) { target.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            put(message)
            return mnl_socket_sendto(socket, message, Int(message.pointee.nlmsg_len))
        }
        guard sent >= 0 else { throw KernelError(call: .netlink, number: errno) }
        return try receive()
    }

    private func receive() throws -> Answer {
        var answer = Answer()
        // The kernel fills at most 32 KiB at a time.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1_024, alignment: 8)
        defer { buffer.deallocate() }
        while true {
            let count = mnl_socket_recvfrom(socket, buffer.baseAddress, buffer.count)
            guard count >= 0 else {
                if errno == EINTR { continue }
                throw KernelError(call: .netlink, number: errno)
            }
            var left = Int32(count)
            var next = UnsafePointer(buffer.baseAddress!.assumingMemoryBound(to: nlmsghdr.self))
            while mnl_nlmsg_ok(next, left) {
                let header = next.pointee
                if header.nlmsg_seq == sequence {
                    if header.nlmsg_flags & UInt16(NLM_F_DUMP_INTR) != 0 { answer.isWhole = false }
                    switch Int32(header.nlmsg_type) {
                    case NLMSG_ERROR:
                        let error = mnl_nlmsg_get_payload(next)!.load(as: Int32.self)
                        if error != 0 { throw KernelError(call: .netlink, number: -error) }
                        return answer
                    case NLMSG_DONE:
                        return answer
                    default:
                        answer.messages.append(NetlinkMessage(next))
                    }
                }
                next = UnsafePointer(mnl_nlmsg_next(next, &left))
            }
        }
    }
}

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

/// Attributes by type. Nested attributes are parsed when they are asked for.
struct NetlinkAttributes {
    private var values: [Int: [ArraySlice<UInt8>]] = [:]

    /// `struct nlattr`: 16 bits of length, header included, 16 bits of type, then the value; all at multiples of 4.
    init(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while rest.count >= 4 {
            let (length, type) = rest.withUnsafeBytes {
                (Int($0.loadUnaligned(as: UInt16.self)), Int32($0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            }
            guard length >= 4, length <= rest.count else { return }
            // The two upper bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
            values[Int(type & 0x3FFF), default: []].append(rest.dropFirst(4).prefix(length - 4))
            rest = rest.dropFirst((length + 3) & ~3)
        }
    }

    /// The last attribute of this type.
    subscript(_ type: Int) -> ArraySlice<UInt8>? { values[type]?.last }

    func number<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Int, as _: Number.Type, at offset: Int = 0) -> Number? {
        guard let value = self[type], value.count >= offset + MemoryLayout<Number>.size else { return nil }
        return value.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    }

    func text(_ type: Int) -> String? { self[type].map(Self.text) }

    /// All attributes of this type.
    func texts(_ type: Int) -> [String] { (values[type] ?? []).map(Self.text) }

    private static func text(_ value: ArraySlice<UInt8>) -> String { String(decoding: value.prefix { $0 != 0 }, as: UTF8.self) }

    func nested(_ type: Int) -> NetlinkAttributes? { self[type].map { NetlinkAttributes($0) } }
}
