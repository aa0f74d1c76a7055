// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Glibc
import PacketFilter
import TapModel
import TapSystem

/// What a child's end means for the expression that it was given.
struct ChildVerdict {
    let result: Result<CompiledFilter, Failure>

    init(_ end: ChildEnd, of expression: String, requiresTags: Bool) {
        result = Result { () throws(Failure) in
            try Self.filter(try Self.answer(end), expression, requiresTags: requiresTags)
        }
    }

    private static func answer(_ end: ChildEnd) throws(Failure) -> ChildAnswer {
        switch end.cause {
        case .exited(0):
            guard let answer = ChildAnswer(end.output) else { throw crashed("gave no answer that can be read") }
            return answer
        case .exited(let code): throw crashed("exited with \(code)")
        case .wroteTooMuch: throw FilterText.invalid("the filter compiles to more than anybody could run; make it shorter")
        case .signalled(SIGXCPU): throw tooSlow
        case .outOfTime:
            // On a host that has no time for it the filter is not to blame.
            guard end.processorSeconds < Double(ChildLimits.processorSeconds) / 4 else { throw tooSlow }
            throw Failure(
                .attachFailed,
                "the filter was not compiled within \(ChildLimits.time.components.seconds) s, most of which this host gave to others; it is tried again"
            )
        case .signalled(SIGKILL):
            throw Failure(.attachFailed, "the process that compiles the filter was killed, maybe for want of memory; it is tried again")
        case .signalled(let signal): throw crashed("ended with signal \(signal)")
        case .notStarted(let code, let what):
            throw Failure(
                code == EPERM || code == EACCES ? .permissionDenied : .attachFailed,
                "the filter cannot be compiled: no process for it (\(what): \(ErrorText.of(code))); it is tried again")
        }
    }

    private static func filter(_ answer: ChildAnswer, _ expression: String, requiresTags: Bool) throws(Failure) -> CompiledFilter {
        switch answer.content {
        case .broken(let code, let step):
            throw Failure(
                code == EPERM || code == EACCES ? .permissionDenied : .attachFailed,
                "the filter cannot be compiled, since the process for it could not be confined: \(step): \(ErrorText.of(code)); run virt-tapd by its unit"
            )
        case .refused(let words):
            throw FilterText.invalid(sentence(words))
        case .program(let words):
            if requiresTags, case .dead(let status, let why) = answer.handle, FilterText.asksAboutVLANs(expression) {
                throw untagged(status, why)
            }
            do throws(FilterError) {
                _ = try ClassicProgram(words.map { ClassicInstruction(word: $0) })
            } catch {
                throw failure(error)
            }
            return CompiledFilter(expression: expression, instructions: words)
        }
    }

    private static func sentence(_ words: String) -> String {
        for prefix in ["unknown host", "unknown network", "unknown ether host", "unknown gateway"] where words.hasPrefix(prefix) {
            return "the filter names a host or network, and names are not looked up here (\(words)): write its address"
        }
        if words.hasPrefix("'gateway'") {
            return "the filter says gateway, which needs names, and those are not looked up here: write ether host MAC and not host ADDRESS"
        }
        if words.contains("memory") {
            return "the filter needs more than \(ChildLimits.memory >> 20) MiB to compile (libpcap: \(words)); make it shorter"
        }
        return "libpcap does not accept the filter: \(words)"
    }

    private static func failure(_ error: FilterError) -> Failure {
        switch error {
        case .malformed(let why): FilterText.invalid("what libpcap made of the filter cannot be carried out: \(why)")
        case .unsupported(let why): FilterText.invalid("the filter cannot be carried out here: \(why)")
        case .tooLarge(let count):
            Failure(.filterTooLarge, "the filter compiles to \(count) instructions, more than can be run on every frame; make it shorter")
        }
    }

    private static var tooSlow: Failure {
        FilterText.invalid(
            "the filter takes too long to compile: more than \(ChildLimits.processorSeconds) s of processor time; make it shorter, "
                + "with a net in the place of many hosts")
    }

    private static func crashed(_ how: String) -> Failure {
        FilterText.invalid(
            "libpcap could not compile the filter within \(ChildLimits.memory >> 20) MiB: its process \(how); make it shorter or less deep")
    }

    private static func untagged(_ status: Int32, _ why: String) -> Failure {
        let isPermission = status == PCAP_ERROR_PERM_DENIED
        let remedy =
            isPermission
            ? "virt-tapd needs CAP_NET_RAW, and AF_PACKET in its unit's RestrictAddressFamilies"
            : "`ip link set lo up` in its network namespace, if it is down"
        return Failure(
            isPermission ? .permissionDenied : .attachFailed,
            "the filter says vlan, and libpcap knows of the tags that the kernel keeps beside frames only when it may open lo (\(why)): \(remedy)"
        )
    }
}
