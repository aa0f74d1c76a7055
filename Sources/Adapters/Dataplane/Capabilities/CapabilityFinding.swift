// SPDX-License-Identifier: LGPL-2.1-or-later

/// One thing that this host can or cannot do for the data path, as `virt-tap doctor` shows it.
public struct CapabilityFinding: Hashable, Sendable {
    public enum Subject: String, CaseIterable, Sendable {
        /// A BPF file system is mounted where pins go, and may be written to.
        case bpffs
        /// CAP_BPF and CAP_NET_ADMIN are in this process's effective set.
        case privileges
        /// The copying program passes the kernel's verifier.
        case programs
        /// So do the programs that cut, wrap and finish copies.
        case relay
        /// Programs are compiled to machine code.
        case jit
        case tcx
        case clsact
        /// The kind of device on which copies are cut: veth.
        case cutting
        /// The kernel describes its own types, by which our numbers for TCX can be checked.
        case btf
    }

    public enum Answer: Hashable, Sendable {
        case yes
        /// - Parameters:
        ///   - why: and what to do, for the operator.
        ///   - minimumKernel: the first Linux that can do it, where that is the cause.
        case no(why: String, minimumKernel: String? = nil)
        /// It could not be found out, mostly for want of privileges.
        case unknown(why: String)
    }

    /// What depends on the rights of whoever asks, and not on the kernel alone.
    public static let ofRights: Set<Subject> = [.bpffs, .privileges, .programs, .relay, .jit, .tcx]

    public var subject: Subject
    public var answer: Answer

    public init(_ subject: Subject, _ answer: Answer) {
        self.subject = subject
        self.answer = answer
    }
}
