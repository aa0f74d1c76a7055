// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
public import TapModel
import TapSystem

/// The capabilities that virt-tapd has as it is installed.
///
/// packaging/systemd/virt-tapd.service gives them, in CapabilityBoundingSet; a test compares the two.
public enum DaemonRights {
    public struct Capability: Hashable, Sendable {
        /// As capabilities(7) has it.
        public let name: String
        /// Of linux/capability.h.
        let number: Int32
    }

    public static let capabilities = [
        Capability(name: "CAP_BPF", number: 39), Capability(name: "CAP_KILL", number: 5), Capability(name: "CAP_NET_ADMIN", number: 12),
        Capability(name: "CAP_NET_RAW", number: 13), Capability(name: "CAP_PERFMON", number: 38),
        Capability(name: "CAP_SETGID", number: 6), Capability(name: "CAP_SETUID", number: 7),
    ]

    /// Gives up all others, for the calling thread and for whatever it executes, for good. What the unit takes away besides, such as
    /// system calls and parts of the file system, stays.
    /// - Throws: `permission-denied` to whoever may not, mostly for want of CAP_SETPCAP.
    public static func lower() throws(Failure) {
        let kept = capabilities.reduce(UInt64(0)) { $0 | 1 << UInt64($1.number) }
        let code = clibbpf_keep_capabilities(kept)
        guard code == 0 else { throw Failure(.permissionDenied, "giving up capabilities: \(ErrorText.of(-code))") }
    }
}
