// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Glibc

/// The child that compiles one expression: the same program, called with `argument`.
///
/// It reads the expression from standard input and writes a `ChildAnswer` to standard output. Before it reads, it gives up
/// whatever it could do beside that (`clibpcap_confine`). One that is not root needs nothing for it, root CAP_SETUID and
/// CAP_SETGID. One that is told that the expression asks about VLANs opens `lo` first, which takes CAP_NET_RAW, AF_PACKET and `lo`
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
