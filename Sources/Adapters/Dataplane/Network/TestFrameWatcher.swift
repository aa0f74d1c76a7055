// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc
public import TapModel

/// Captures the frames of one test on every device of this network namespace, as they are or encapsulated.
///
/// A packet socket on all devices, with a filter in the kernel that lets nothing else through. Needs CAP_NET_RAW.
public final class TestFrameWatcher {
    /// Where a frame was captured.
    public struct Capture: Hashable, Sendable {
        /// `TestFrame.number`.
        public var number: UInt16
        public var ifindex: UInt32
        /// `true` when it was handed to the device for sending, `false` when it arrived on it.
        public var isSent: Bool
        /// Bytes of outer headers in front of the frame; 0: none.
        public var outerLength: Int
        /// Set when the frame is not a copy but quoted in an ICMP message: a machine refuses the copy.
        public var refusal: IcmpRefusal?
        /// Length of what was captured, outer headers included, in bytes.
        public var length: Int
    }

    private let descriptor: CInt
    private let token: UInt64
    /// The possible lengths of outer headers, in ascending order: Ethernet, IPv4 or IPv6, and the header of each kind of tunnel; and where a
    /// machine refuses such a packet, IP and ICMP before that.
    private static let outerLengths: [Int] = {
        // GRE without and with a key; VXLAN, Geneve and ERSPAN II; ERSPAN III.
        let tunnels = [4, 8, 16, 20]
        let headers = [20, 40].flatMap { ip in tunnels.flatMap { [14 + ip + $0, 14 + 2 * ip + IcmpRefusal.headerLength + $0] } }
        return Set(headers + [0]).sorted()
    }()

    /// Captures from now on.
    /// - Throws: `permission-denied` without CAP_NET_RAW; `attach-failed`.
    public init(token: UInt64) throws(Failure) {
        self.token = token
        // With protocol 0 nothing is received before the filter is attached.
        descriptor = socket(AF_PACKET, CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure("packet socket") }
        do throws(Failure) {
            try attachFilter()
            try bind()
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    private static func failure(_ call: String) -> Failure {
        if errno == EPERM || errno == EACCES {
            return Failure(
                .permissionDenied, "capturing test frames needs a packet socket; run `virt-tap test` as root (CAP_NET_RAW)")
        }
        let error = KernelError(call: .netlink, number: errno, subject: call)
        return FailureReport.failure(error, "watching the devices for test frames")
    }

    /// Attaches a filter that compares four bytes at each offset where a frame can begin. A load behind the end ends the filter with 0. All
    /// other bytes are compared after reception.
    private func attachFilter() throws(Failure) {
        let word = TestFrame.begin(token: token).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let offsets = Self.outerLengths
        var program: [sock_filter] = []
        for (index, offset) in offsets.enumerated() {
            program.append(sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: UInt32(offset)))
            // To the last instruction.
            let rest = UInt8(2 * (offsets.count - index) - 1)
            program.append(sock_filter(code: UInt16(BPF_JMP | BPF_JEQ | BPF_K), jt: rest, jf: 0, k: word))
        }
        program.append(sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: 0))
        program.append(sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: 0xFFFF))
        let result = program.withUnsafeMutableBufferPointer { program in
            var filter = sock_fprog(len: UInt16(program.count), filter: program.baseAddress)
            return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, socklen_t(MemoryLayout<sock_fprog>.size))
        }
        guard result == 0 else { throw Self.failure("SO_ATTACH_FILTER") }
    }

    private func bind() throws(Failure) {
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = UInt16(ETH_P_ALL).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
            }
        }
        guard result == 0 else { throw Self.failure("bind") }
    }

    /// Returns what has been captured, in order.
    /// - Parameter patience: milliseconds to wait for the next frame.
    /// - Returns: empty when nothing arrived in that time.
    public func next(within patience: Int32) -> [Capture] {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, patience) > 0 else { return [] }
        var captures: [Capture] = []
        while let capture = receive() { captures += capture }
        return captures
    }

    /// - Returns: `nil` when there is nothing more; empty for a frame that only resembles a test frame.
    private func receive() -> [Capture]? {
        var frame = [UInt8](repeating: 0, count: 2_048)
        var address = sockaddr_ll()
        var size = socklen_t(MemoryLayout<sockaddr_ll>.size)
        let count = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &frame, frame.count, CInt(MSG_TRUNC), $0, &size)
            }
        }
        guard count >= 0 else { return errno == EINTR ? [] : nil }
        for length in Self.outerLengths {
            guard let number = TestFrame.number(in: frame.prefix(count), at: length, token: token) else { continue }
            return [
                Capture(
                    number: number, ifindex: UInt32(address.sll_ifindex), isSent: address.sll_pkttype == UInt8(PACKET_OUTGOING),
                    outerLength: length, refusal: length == 0 ? nil : IcmpRefusal(frame.prefix(count)), length: count)
            ]
        }
        return []
    }
}

/// A machine's answer to a packet that it cannot forward or deliver: ICMP's destination unreachable (RFC 792, RFC 4443), which quotes it.
public struct IcmpRefusal: Hashable, Sendable {
    /// The address of the machine that answers.
    public var sender: String
    /// The meaning of the ICMP code, such as "port unreachable".
    public var what: String
    /// Whether the packet reached its receiver, where nothing accepts it; else it was lost on the way.
    public var isReceivers: Bool

    /// Bytes of the ICMP header, in front of the quoted packet.
    static let headerLength = 8

    public init(sender: String, what: String, isReceivers: Bool) {
        self.sender = sender
        self.what = what
        self.isReceivers = isReceivers
    }

    /// Parses a frame.
    /// - Parameter frame: from its Ethernet header on, without VLAN tags.
    /// - Returns: `nil` for anything else than such an answer.
    init?(_ frame: some RandomAccessCollection<UInt8>) {
        let bytes = Array(frame.prefix(14 + 40 + Self.headerLength))
        guard bytes.count >= 14 + 20 + Self.headerLength else { return nil }
        let says: [UInt8: String]
        let receivers: Set<UInt8>
        let icmp: Int
        switch (bytes[12], bytes[13]) {
        case (0x08, 0x00) where bytes[14] == 0x45 && bytes[23] == 1:
            icmp = 34
            guard bytes[icmp] == 3 else { return nil }
            sender = IPAddress.text(Array(bytes[26..<30]))
            let prohibited = "prohibited on the way"
            says = [
                0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
                4: "too large for the way", 9: prohibited, 10: prohibited, 13: prohibited,
            ]
            receivers = [2, 3]
        case (0x86, 0xDD) where bytes[20] == 58 && bytes.count == 14 + 40 + Self.headerLength:
            icmp = 54
            sender = IPAddress.text(Array(bytes[22..<38]))
            switch bytes[icmp] {
            case 1:
                says = [0: "network unreachable", 1: "prohibited on the way", 3: "host unreachable", 4: "port unreachable"]
                receivers = [4]
            case 2: (says, receivers) = ([0: "too large for the way"], [])
            // In ICMPv6 an unknown next header is a parameter problem.
            case 4: (says, receivers) = ([1: "protocol unreachable"], [1])
            default: return nil
            }
        default: return nil
        }
        what = says[bytes[icmp + 1]] ?? "unreachable"
        isReceivers = receivers.contains(bytes[icmp + 1])
    }
}
