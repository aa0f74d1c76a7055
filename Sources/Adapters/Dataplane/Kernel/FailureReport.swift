// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import PacketFilter
import TapModel
import TapSystem

/// Turns what the kernel answered into what an operator reads: one table for the whole data path.
enum FailureReport {
    static func failure(_ error: any Error, _ what: String) -> Failure {
        if let failure = error as? Failure { return failure }
        if let error = error as? FilterError { return failure(error, what) }
        guard let error = error as? KernelError else { return Failure(.attachFailed, "\(what): \(error)") }
        if error.call == .load, let log = error.log, error.number == E2BIG || isTooLarge(log) {
            return Failure(.filterTooLarge, "\(what): \(tooLarge(log))")
        }
        if let refusal = refusal(error) {
            return Failure(
                .attachFailed,
                "\(what): \(refusal). `virt-tap doctor` says whether virt-tapd has the rights for it; if it has, report this with "
                    + "doctor's output and the daemon's log at level debug, which has the verifier's.")
        }
        if error.call == .load, error.number == E2BIG { return Failure(.filterTooLarge, "\(what): \(tooLarge(error.log))") }
        let (reason, advice) = meaning(of: error)
        let subject = error.subject.isEmpty ? "" : " (\(error.subject))"
        return Failure(reason, "\(what): could not \(error.call.rawValue)\(subject): \(ErrorText.of(error.number)). \(advice)")
    }

    /// That the kernel's verifier refused a program, and its last word; `nil`: something else went wrong.
    static func refusal(_ error: any Error) -> String? {
        guard let error = error as? KernelError, error.call == .load, let line = error.log.flatMap({ lastWord(ofVerifier: $0) }) else {
            return nil
        }
        return "the kernel's verifier refused the program (\(ErrorText.of(error.number))): \(line)"
    }

    private static func failure(_ error: FilterError, _ what: String) -> Failure {
        switch error {
        case .malformed(let why), .unsupported(let why): Failure(.invalidFilter, "\(what): \(why)")
        case .tooLarge(let count):
            Failure(
                .filterTooLarge,
                "\(what): its filter compiles to \(count) instructions, over which no jump of eBPF reaches; make it shorter, or two taps of it"
            )
        }
    }

    /// The verifier gives up by number of steps, of branches or of instructions, each in words of its own.
    private static func isTooLarge(_ log: String) -> Bool {
        ["too large", "too complex", "too many"].contains { log.contains($0) }
    }

    private static func tooLarge(_ log: String?) -> String {
        let word = log.flatMap { lastWord(ofVerifier: $0) }.map { " (\($0))" } ?? ""
        return "its filter is too large for the kernel's verifier\(word); make it shorter, or two taps of it"
    }

    private static func meaning(of error: KernelError) -> (Reason, String) {
        switch (error.call, error.number) {
        case (_, EPERM), (_, EACCES):
            (
                .permissionDenied,
                "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed, and write access to the pins: run as root, or grant them."
            )
        case (_, EROFS):
            (.permissionDenied, "bpffs is read-only here; in a systemd unit leave ProtectKernelTunables off.")
        case (_, ENODEV), (_, ENXIO), (_, ENOLINK):
            (.deviceGone, "The device is gone; the tap ends with it, and the domain's next start makes another.")
        case (.createLink, EINVAL):
            (.kernelTooOld, "TCX needs Linux 6.6; set <mechanism name=\"auto\"/> or \"clsact\".")
        case (.createLink, ERANGE), (_, E2BIG), (.createLink, ENOSPC):
            (.attachFailed, "A device's hook holds 63 programs and this one is full; remove taps or other programs from it.")
        case (_, ENOMEM), (_, ENOBUFS):
            (.attachFailed, "The kernel is out of memory, or over a limit on it; free some, and it is tried again.")
        case (_, EBUSY), (_, EAGAIN), (_, EINTR):
            (.attachFailed, "Somebody else is changing the same thing; it is tried again.")
        case (.createQdisc, EEXIST), (.attachFilter, EEXIST):
            (.qdiscConflict, "Another program put a qdisc or filter there at the same moment; it is tried again.")
        case (.attachFilter, EOPNOTSUPP):
            (.qdiscConflict, "The qdisc on the device shares a block of filters with others; remove it, or use a kernel with TCX (6.6).")
        case (.changeDevice, EOPNOTSUPP):
            (.attachFailed, "The kernel has no devices of kind veth, on which copies are cut, wrapped and finished; load its module.")
        case (_, EMFILE), (_, ENFILE):
            (.attachFailed, "Too many open files; raise LimitNOFILE.")
        default:
            (.attachFailed, "See `virt-tap doctor`; it is tried again.")
        }
    }

    /// The verifier's reason: the last line that is neither empty nor its closing statistics.
    static func lastWord(ofVerifier log: String) -> String? {
        log.split(separator: "\n").map(String.init).last {
            !$0.allSatisfy(\.isWhitespace) && !$0.hasPrefix("processed ") && !$0.hasPrefix("verification time")
                && !$0.hasPrefix("stack depth")
        }
    }
}
