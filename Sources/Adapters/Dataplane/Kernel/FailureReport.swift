// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import PacketFilter
import TapModel
import TapSystem

/// Turns errors of the data path into messages for an operator. The one table of them is here.
enum FailureReport {
    static func failure(_ error: any Error, _ what: String) -> Failure {
        if let failure = error as? Failure { return failure }
        if let error = error as? FilterError { return failure(error, what) }
        guard let error = error as? KernelError else { return Failure(.attachFailed, "\(error)", about: what) }
        if error.call == .load, let log = error.log, error.number == E2BIG || isTooLarge(log) {
            return Failure(.filterTooLarge, tooLarge(log), about: what)
        }
        if let refusal = refusal(error) {
            return Failure(
                .attachFailed,
                "\(refusal). `virt-tap doctor` says whether virt-tapd has the rights for it; if it has, report this with "
                    + "doctor's output and the daemon's log at level debug, which has the verifier's.", about: what)
        }
        if error.call == .load, error.number == E2BIG { return Failure(.filterTooLarge, tooLarge(error.log), about: what) }
        let (reason, advice) = meaning(of: error)
        let subject = error.subject.isEmpty ? "" : " (\(error.subject))"
        return Failure(reason, "could not \(error.call.rawValue)\(subject): \(ErrorText.of(error.number)). \(advice)", about: what)
    }

    /// Describes that the kernel's verifier refused a program, with its last line; `nil` when something else failed.
    static func refusal(_ error: any Error) -> String? {
        guard let error = error as? KernelError, error.call == .load, let line = error.log.flatMap({ lastWord(ofVerifier: $0) }) else {
            return nil
        }
        return "the kernel's verifier refused the program (\(ErrorText.of(error.number))): \(line)"
    }

    private static func failure(_ error: FilterError, _ what: String) -> Failure {
        switch error {
        case .malformed(let why), .unsupported(let why): Failure(.invalidFilter, why, about: what)
        case .tooLarge(let count):
            Failure(
                .filterTooLarge,
                "its filter compiles to \(count) instructions, over which no jump of eBPF reaches",
                advice: "make it shorter, or two taps of it", about: what)
        }
    }

    /// The verifier limits the numbers of steps, branches and instructions, with a message for each.
    private static func isTooLarge(_ log: String) -> Bool {
        ["too large", "too complex", "too many"].contains { log.contains($0) }
    }

    private static func tooLarge(_ log: String?) -> String {
        let word = log.flatMap { lastWord(ofVerifier: $0) }.map { " (\($0))" } ?? ""
        return "its filter is too large for the kernel's verifier\(word); make it shorter, or split it over two taps"
    }

    private static func meaning(of error: KernelError) -> (Reason, String) {
        switch (error.call, error.number) {
        case (_, EPERM), (_, EACCES):
            (
                .permissionDenied,
                "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and write access to the pins are needed: run as root, or grant them."
            )
        case (_, EROFS):
            (.permissionDenied, "bpffs is read-only here; in a systemd unit leave ProtectKernelTunables off.")
        case (_, ENODEV), (_, ENXIO), (_, ENOLINK):
            (.deviceGone, "The device is gone; the tap ends with it and begins again with the domain's next start.")
        case (.createLink, EINVAL):
            (.kernelTooOld, "TCX needs Linux 6.6; set <mechanism name=\"auto\"/> or \"clsact\".")
        case (.createLink, ERANGE), (_, E2BIG), (.createLink, ENOSPC):
            (.attachFailed, "The device's hook is full: it holds 63 programs; remove taps or other programs from it.")
        case (_, ENOMEM), (_, ENOBUFS):
            (.attachFailed, "The kernel is out of memory, or over a memory limit; free some. It is tried again.")
        case (_, EBUSY), (_, EAGAIN), (_, EINTR):
            (.attachFailed, "Somebody else is changing the same thing; it is tried again.")
        case (.createQdisc, EEXIST), (.attachFilter, EEXIST):
            (.qdiscConflict, "Another program added a qdisc or filter at the same moment; it is tried again.")
        case (.attachFilter, EOPNOTSUPP):
            (.qdiscConflict, "The qdisc on the device shares a block of filters with others; remove it, or use a kernel with TCX (6.6).")
        case (.changeDevice, EOPNOTSUPP):
            (
                .attachFailed,
                "The kernel has no veth devices, on which copies are truncated, encapsulated and have offloads resolved; load the module veth."
            )
        case (_, EMFILE), (_, ENFILE):
            (.attachFailed, "Too many open files; raise LimitNOFILE.")
        default:
            (.attachFailed, "See `virt-tap doctor`; it is tried again.")
        }
    }

    /// The verifier's reason: the last line that is neither empty nor part of its closing statistics.
    static func lastWord(ofVerifier log: String) -> String? {
        log.split(separator: "\n").map(String.init).last {
            !$0.allSatisfy(\.isWhitespace) && !$0.hasPrefix("processed ") && !$0.hasPrefix("verification time")
                && !$0.hasPrefix("stack depth")
        }
    }
}
