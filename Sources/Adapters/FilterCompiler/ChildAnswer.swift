// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Glibc
import PacketFilter
import TapModel
import TapSystem

/// What a child writes on its standard output: a few lines, the last of which tells that it is whole.
struct ChildAnswer: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        /// The instructions of `CompiledFilter`, not checked yet.
        case program([UInt64])
        /// libpcap's words.
        case refused(String)
        /// It could not get to work.
        case broken(errno: Int32, step: String)
    }

    var handle: HandleKind
    var content: Content

    init(handle: HandleKind, content: Content) {
        self.handle = handle
        self.content = content
    }

    private static let head = "virt-tap-filter 1"
    private static let end = "end"

    var text: String {
        var lines = [Self.head]
        switch handle {
        case .live: lines.append("live")
        case .dead(let status, let words): lines.append("dead \(status) \(Self.line(words))")
        }
        switch content {
        case .program(let words):
            lines.append("program \(words.count)")
            lines += words.map { String($0, radix: 16) }
        case .refused(let words): lines.append("refused \(Self.line(words))")
        case .broken(let code, let step): lines.append("broken \(code) \(Self.line(step))")
        }
        return lines.map { $0 + "\n" }.joined() + Self.end + "\n"
    }

    /// Reads what a child wrote. The expression may control the child, so that only what `text` makes of it is used.
    init?(_ bytes: [UInt8]) {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
        guard lines.popLast() == "", lines.popLast() == Self.end[...], lines.popFirst() == Self.head[...], let handle = lines.popFirst(),
            let content = lines.popFirst()
        else { return nil }
        if handle == "live" {
            self.handle = .live
        } else if let (status, words) = Self.numbered(handle, "dead") {
            self.handle = .dead(status, words)
        } else {
            return nil
        }
        if content.hasPrefix("refused ") {
            self.content = .refused(Self.line(String(content.dropFirst("refused ".count))))
        } else if let (code, step) = Self.numbered(content, "broken") {
            self.content = .broken(errno: code, step: step)
        } else if content.hasPrefix("program "), let count = Int(content.dropFirst("program ".count)), count == lines.count {
            var words: [UInt64] = []
            for line in lines {
                guard let word = UInt64(line, radix: 16) else { return nil }
                words.append(word)
            }
            self.content = .program(words)
            return
        } else {
            return nil
        }
        guard lines.isEmpty else { return nil }
    }

    /// `KEYWORD NUMBER WORDS`.
    private static func numbered(_ line: Substring, _ keyword: String) -> (Int32, String)? {
        let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == keyword[...], let number = Int32(parts[1]) else { return nil }
        return (number, Self.line(String(parts[2])))
    }

    /// What a stranger wrote, on one line and not too long.
    private static func line(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(512).map { $0.value < 32 ? " " : $0 }))
    }
}

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
            "the filter says vlan, and libpcap handles VLAN tags in skb metadata only when it may open lo (\(why)): \(remedy)"
        )
    }
}
