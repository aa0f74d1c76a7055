// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import Glibc
import PacketFilter
import PacketFilterTestSupport

/// Two veth devices, and at each of them a translated filter and a socket filter of the same classic program:
///
///     senders → near: egress, packet socket ──veth── far: packet socket, ingress
///
/// What arrives at the far end has its outer VLAN tag in skb metadata; what leaves the near end has it in its bytes.
final class FilteredVeth {
    /// The kernel did not take a program for a device.
    struct Refused: Error { var number: CInt }

    /// One end: the kernel's own opinion, and ours.
    private final class End {
        let observer: Observer
        let socket: SocketFilter
        private let index: Int32
        private let egress: Int32
        private var program: KernelFilter?

        init(_ device: String, egress: Bool) throws {
            observer = try Observer()
            socket = try SocketFilter(on: device)
            index = Int32(if_nametoindex(device))
            self.egress = egress ? 1 : 0
        }

        func attach(_ instructions: [ClassicInstruction], _ translated: [UInt64]) throws {
            let program = try observer.program(translated)
            let result = clibbpf_filter_attach(index, egress, 1, 1, program.descriptor, self.program == nil ? 0 : 1)
            guard result == 0 else { throw Refused(number: -result) }
            self.program = program
            try socket.attach(instructions)
        }
    }

    /// What the frames were like that were sent, as the programs saw them.
    struct Seen {
        var frames = 0
        var matches = 0
        var tagged = 0
        /// Part of it was not in the linear part.
        var scattered = 0
        var superPackets = 0
    }

    private static let near = "pfnear"
    private static let far = "pffar"

    private let plain: FrameSender
    private let ring: RingSender
    private let leaving: End
    private let arriving: End
    private(set) var seen = Seen()

    /// How a frame is sent.
    enum Manner {
        case linear
        case scattered
        case superPacket(transport: Int)
    }

    init() throws {
        try PrivateNamespaces.require()
        // Otherwise devices send on their own.
        for scope in ["all", "default"] {
            try "1".write(toFile: "/proc/sys/net/ipv6/conf/\(scope)/disable_ipv6", atomically: false, encoding: .utf8)
        }
        try ip(
            """
            link add \(Self.near) mtu 9000 type veth peer name \(Self.far) mtu 9000
            link set \(Self.near) up
            link set \(Self.far) up

            """)
        for device in [Self.near, Self.far] { try run("tc", "qdisc", "add", "dev", device, "clsact") }
        plain = try FrameSender(on: Self.near)
        ring = try RingSender(on: Self.near)
        leaving = try End(Self.near, egress: true)
        arriving = try End(Self.far, egress: false)
    }

    deinit { _ = try? run("ip", "link", "del", Self.near) }

    func attach(_ instructions: [ClassicInstruction]) throws {
        let translated = try FilterTranslation.translate(ClassicProgram(instructions))
        try leaving.attach(instructions, translated)
        try arriving.attach(instructions, translated)
    }

    /// Sends a frame and compares what the two say about it.
    /// - Returns: what is wrong, or `nil`.
    func difference(_ frame: [UInt8], _ manner: Manner) throws -> String? {
        // The kernel drops what has a tag and ends behind it.
        let isTagged = [0x8100, 0x88A8].contains(Int(frame[12]) << 8 | Int(frame[13]))
        let frame = isTagged && frame.count < 20 ? frame + [UInt8](repeating: 0, count: 20 - frame.count) : frame
        let before = (leaving.observer.record, arriving.observer.record)
        switch manner {
        case .linear: try plain.send(frame)
        case .scattered: try ring.send(frame)
        case .superPacket(let transport): try plain.send(frame, segment: (1_000, transport))
        }
        // The sockets are asked before the programs at the far end, after them at the near one, which is earlier than that.
        var patience = 1_000
        while arriving.observer.record.frames == before.1.frames, patience > 0 {
            patience -= 1
            if patience < 900 { usleep(50) }
        }
        let after = (leaving.observer.record, arriving.observer.record)
        guard after.1.frames > before.1.frames else { return "no frame arrived" }
        seen.frames += 1
        seen.matches += after.1.matches > before.1.matches ? 1 : 0
        seen.tagged += after.1.hasTag != 0 ? 1 : 0
        seen.scattered += after.1.linear < after.1.length ? 1 : 0
        seen.superPackets += after.1.segmentSize != 0 ? 1 : 0
        let sockets = (leaving.socket.take(), arriving.socket.take())
        let programs = (Int(after.0.matches - before.0.matches), Int(after.1.matches - before.1.matches))
        let kind =
            "length \(after.1.length), linear \(after.1.linear), tag beside it \(after.1.hasTag), segments of \(after.1.segmentSize)"
        guard sockets.1 == programs.1 else { return "arriving (\(kind)): socket \(sockets.1), program \(programs.1)" }
        // A GSO packet may be cut between the program and the socket there.
        if case .superPacket = manner { return nil }
        return sockets.0 == programs.0 ? nil : "leaving (\(kind)): socket \(sockets.0), program \(programs.0)"
    }
}
