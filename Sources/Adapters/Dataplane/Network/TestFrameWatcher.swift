// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc
public import TapModel

/// Sees the frames of one test wherever they come by in this network namespace, as they are or wrapped in a tunnel's headers.
///
/// A packet socket on all devices, with a filter in the kernel that lets nothing else through. Needs CAP_NET_RAW.
public final class TestFrameWatcher {
    /// Where a frame was seen.
    public struct Sighting: Hashable, Sendable {
        /// `TestFrame.number`.
        public var number: UInt16
        public var ifindex: UInt32
        /// Handed to the device to be sent; else it came in by it.
        public var isSent: Bool
        /// How many bytes of outer headers were in front of it; 0: none.
        public var outerLength: Int
        /// That it is no copy but what a machine quotes of one, and why: it has nobody who takes that.
        public var refusal: IcmpRefusal?
        /// Of all that was seen, in bytes.
        public var length: Int
    }

    private let descriptor: CInt
    private let token: UInt64
    /// How long outer headers can be: Ethernet, IPv4 or IPv6, and what each kind of tunnel has; and, where a machine refuses such a
    /// packet, IP and ICMP before that. From the least to the greatest.
    private static let outerLengths: [Int] = {
        // GRE without and with a key; VXLAN, Geneve, ERSPAN II; ERSPAN III.
        let tunnels = [4, 8, 16, 20]
        let headers = [20, 40].flatMap { ip in tunnels.flatMap { [14 + ip + $0, 14 + 2 * ip + IcmpRefusal.headerLength + $0] } }
        return Set(headers + [0]).sorted()
    }()

    /// Sees what comes by from now on.
    /// - Throws: `permission-denied` without CAP_NET_RAW; `attach-failed`.
    public init(token: UInt64) throws(Failure) {
        self.token = token
        // Protocol 0: nothing comes in before the filter stands.
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
                .permissionDenied, "seeing where test frames come by takes a packet socket: run `virt-tap test` as root (CAP_NET_RAW)")
        }
        let error = KernelError(call: .netlink, number: errno, subject: call)
        return FailureReport.failure(error, "watching the devices for test frames")
    }

    /// Compares four bytes at each place where a frame can begin; a load behind the end ends the filter with 0. The rest is compared when
    /// it has come.
    private func attachFilter() throws(Failure) {
        let word = TestFrame.begin(token: token).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let places = Self.outerLengths
        var program: [sock_filter] = []
        for (index, place) in places.enumerated() {
            program.append(sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: UInt32(place)))
            // To the last instruction.
            let rest = UInt8(2 * (places.count - index) - 1)
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

    /// What has been seen, in its order.
    /// - Parameter patience: milliseconds to wait for the next.
    /// - Returns: empty when nothing came in that time.
    public func next(within patience: Int32) -> [Sighting] {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, patience) > 0 else { return [] }
        var sightings: [Sighting] = []
        while let sighting = receive() { sightings += sighting }
        return sightings
    }

    /// - Returns: `nil` when there is nothing more; empty for what only looks like one.
    private func receive() -> [Sighting]? {
        var frame = [UInt8](repeating: 0, count: 2_048)
        var address = sockaddr_ll()
        var size = socklen_t(MemoryLayout<sockaddr_ll>.size)
        let count = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &frame, frame.count, CInt(MSG_TRUNC), $0, &size)
            }
        }
        guard count >= 0 else { return errno == EINTR ? [] : nil }
        for place in Self.outerLengths {
            guard let number = TestFrame.number(in: frame.prefix(count), at: place, token: token) else { continue }
            return [
                Sighting(
                    number: number, ifindex: UInt32(address.sll_ifindex), isSent: address.sll_pkttype == UInt8(PACKET_OUTGOING),
                    outerLength: place, refusal: place == 0 ? nil : IcmpRefusal(frame.prefix(count)), length: count)
            ]
        }
        return []
    }
}

/// What a machine answers to a packet that gets no further: ICMP's destination unreachable (RFC 792, RFC 4443), which quotes it.
public struct IcmpRefusal: Hashable, Sendable {
    /// Who answers.
    public var sender: String
    /// What it says, such as "port unreachable".
    public var what: String
    /// Whether the packet has come to where it was sent, and nobody takes it there; else it was lost on the way.
    public var isReceivers: Bool

    /// ICMP's header before what it quotes.
    static let headerLength = 8

    public init(sender: String, what: String, isReceivers: Bool) {
        self.sender = sender
        self.what = what
        self.isReceivers = isReceivers
    }

    /// - Parameter frame: from its Ethernet header on, without VLAN tags.
    /// - Returns: `nil` for anything else.
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
            // A next header that is not known is a parameter problem there.
            case 4: (says, receivers) = ([1: "protocol unreachable"], [1])
            default: return nil
            }
        default: return nil
        }
        what = says[bytes[icmp + 1]] ?? "unreachable"
        isReceivers = receivers.contains(bytes[icmp + 1])
    }
}
