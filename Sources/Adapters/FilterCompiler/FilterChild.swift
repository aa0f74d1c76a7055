// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Glibc
import TapModel

/// The child that compiles one expression: the same program, called with `argument`.
///
/// It reads the expression from standard input and writes a `ChildAnswer` to standard output. Before it reads, it gives up
/// whatever it could do beside that (`clibpcap_confine`). One that is not root needs nothing for it, root CAP_SETUID and
/// CAP_SETGID. One whose arguments say that the expression asks about VLANs opens `lo` first, which takes CAP_NET_RAW, AF_PACKET and `lo`
/// up; only then `vlan` means what it means to tcpdump on a device.
public enum FilterChild {
    /// What makes a process the child: the first argument. It stands in no help.
    public static let argument = "compile-filter-in-child"
    /// The second argument, where the expression asks about VLANs.
    static let tags = "vlan"

    /// Turns this process into the child, and ends it, if that is what it was started for. To be called first in `main`,
    /// while there is but one thread; otherwise it does nothing.
    public static func runIfAsked(_ arguments: [String] = CommandLine.arguments) {
        guard arguments.count >= 2, arguments[1] == argument else { return }
        write(answer(seesTags: arguments.dropFirst(2).first == tags).text)
        _exit(0)
    }

    private static func answer(seesTags: Bool) -> ChildAnswer {
        forgetNames()
        let (handle, kind) = seesTags ? CompilerHandle.live() : (CompilerHandle.dead(), .dead(0, "not asked for"))
        guard let handle else { return ChildAnswer(handle: kind, content: .broken(errno: ENOMEM, step: "opening libpcap")) }
        let closing = clibpcap_close_sockets()
        guard closing == 0 else { return ChildAnswer(handle: kind, content: .broken(errno: -closing, step: "closing its sockets")) }
        var limits = clibpcap_limits(processor: UInt64(ChildLimits.processorSeconds), memory: UInt64(ChildLimits.memory))
        var step: UnsafePointer<CChar>?
        let code = clibpcap_confine(&limits, &step)
        guard code == 0 else {
            return ChildAnswer(handle: kind, content: .broken(errno: -code, step: step.map { String(cString: $0) } ?? ""))
        }
        guard var expression = read() else { return ChildAnswer(handle: kind, content: .broken(errno: EIO, step: "reading the filter")) }
        expression.append(0)
        var program = bpf_program()
        let result = expression.withUnsafeBytes { bytes in
            // No netmask: what tcpdump takes for a device without an address.
            pcap_compile(handle, &program, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), 1, 0)
        }
        guard result == 0 else {
            return ChildAnswer(handle: kind, content: .refused(String(cString: pcap_geterr(handle))))
        }
        let words = UnsafeBufferPointer(start: program.bf_insns, count: Int(program.bf_len)).map { instruction in
            UInt64(instruction.code) | UInt64(instruction.jt) << 16 | UInt64(instruction.jf) << 24 | UInt64(instruction.k) << 32
        }
        return ChildAnswer(handle: kind, content: .program(words))
    }

    /// Names of ports and protocols come from their files alone; hosts, networks and stations have none at all: no server
    /// is asked, and what a filter means does not depend on a file that somebody changes.
    private static func forgetNames() {
        for database in ["hosts", "networks", "ethers"] { __nss_configure_lookup(database, "none") }
        for database in ["services", "protocols"] { __nss_configure_lookup(database, "files") }
    }

    /// Standard input up to its end, and one byte more than is allowed at most.
    private static func read() -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count <= ChildLimits.expression {
            var chunk = [UInt8](repeating: 0, count: ChildLimits.expression + 1 - bytes.count)
            let count = Glibc.read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
        return nil
    }

    private static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

/// The handle with which libpcap compiles.
///
/// Only a handle that was activated on a device emits code for `vlan` that also reads the VLAN tag in skb metadata
/// (BPF_SPECIAL_VLAN_HANDLING in libpcap's sources); there is no other way to set that flag. `lo` is in every
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

/// With what a child compiled.
enum HandleKind: Hashable, Sendable {
    /// `vlan` means what it means to tcpdump on a device.
    case live
    /// `vlan` does not see the VLAN tag in skb metadata. The status of pcap_activate(3) and its words.
    case dead(Int32, String)
}

/// What compiling one filter may take.
///
/// libpcap's optimiser takes cubic time: 240 `host` terms, which fill 4,096 bytes, take 0.6 s on a machine of 2024, as many
/// `port` terms 8 s, `portrange` terms a minute.
enum ChildLimits {
    /// Bytes of an expression.
    static let expression = Tap.maximumFilterLength
    /// Seconds of processor time.
    static let processorSeconds = 2
    /// Bytes of memory beside the program's own.
    static let memory = 256 << 20
    /// Time until the child is killed, the whole of it.
    static let time = Duration.seconds(5)
    /// Seconds of processor time for a first try, starting included, which nearly all filters pass; the few others wait for each
    /// other afterwards, and nobody for them.
    static let quickProcessorSeconds = 0.3
    /// Bytes of an answer: more instructions than anybody takes.
    static let answer = 1 << 20
    /// Children at the same time, of which one may be slow.
    static let parallel = 2
}
