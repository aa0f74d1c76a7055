// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import CLibpcap
import Glibc

/// Calls that have to do with `struct bpf_insn`, which is one thing in libpcap's headers and another in linux/bpf.h: Swift
/// refuses to see both in one target. So these are found by name, and the structure is bytes.
enum UntypedCalls {
    typealias PcapCompile = @convention(c) (OpaquePointer, UnsafeMutableRawPointer, UnsafePointer<CChar>, CInt, UInt32) -> CInt
    typealias PcapMatch = @convention(c) (UnsafeRawPointer, UnsafePointer<pcap_pkthdr>, UnsafePointer<UInt8>) -> CInt
    typealias PcapFree = @convention(c) (UnsafeMutableRawPointer) -> Void
    typealias Load =
        @convention(c) (
            bpf_prog_type, UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeRawPointer, Int, UnsafePointer<bpf_prog_load_opts>
        ) -> CInt

    static let pcapCompile = find("pcap_compile", as: PcapCompile.self)
    static let pcapOfflineFilter = find("pcap_offline_filter", as: PcapMatch.self)
    static let pcapFreeCode = find("pcap_freecode", as: PcapFree.self)
    static let loadProgram = find("bpf_prog_load", as: Load.self)

    /// Both libraries are linked in any case.
    private static func find<Function>(_ name: String, as type: Function.Type) -> Function {
        unsafeBitCast(dlsym(nil, name)!, to: type)
    }
}
