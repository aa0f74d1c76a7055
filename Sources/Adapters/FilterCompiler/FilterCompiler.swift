// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
public import TapModel
import TapSystem

/// Compiles filter expressions, each in a child that may do nothing else.
///
/// For any thread; nobody's thread is blocked. What is compiled once, or refused, is remembered.
public actor FilterCompiler {
    /// The program that runs now, as the child.
    public static let ownChild = ["/proc/self/exe", FilterChild.argument]

    private let command: [String]
    private let requiresTags: Bool
    private let lanes = ChildLanes()
    private var cache = FilterCache()
    private var underWay: [String: Task<Result<CompiledFilter, Failure>, Never>] = [:]

    /// - Parameters:
    ///   - command: The program to run as the child, and the argument that makes it one.
    ///   - requiresTags: Whether a filter that says `vlan` fails where it cannot be made to see VLAN tags in skb
    ///     metadata, for which the child needs CAP_NET_RAW. Without, what is compiled is good for no more than to see
    ///     whether the expression is one.
    public init(command: [String] = FilterCompiler.ownChild, requiresTags: Bool = true) {
        self.command = command
        self.requiresTags = requiresTags
    }

    /// Takes some 40 ms, at most a few seconds, and longer only behind others that do.
    ///
    /// - Throws: `invalid-filter` with libpcap's words or with the limit that it exceeds; `filter-too-large` with the number
    ///   of instructions. Anything else is the host's trouble, says nothing of the expression and is not remembered:
    ///   `permission-denied`, `attach-failed`.
    public func compile(_ expression: String) async throws(Failure) -> CompiledFilter {
        if let refusal = FilterText.refusal(of: expression) { throw refusal }
        if let known = cache[expression] { return try known.get() }
        if let task = underWay[expression] { return try await task.value.get() }
        let task = Task { await run(expression) }
        underWay[expression] = task
        let result = await task.value
        underWay[expression] = nil
        if case .failure(let failure) = result, Self.isOfHost(failure) { throw failure }
        cache[expression] = result
        return try result.get()
    }

    /// Whether a failure of `compile` says nothing of the expression, so that it may come out otherwise another time.
    public static func isOfHost(_ failure: Failure) -> Bool { failure.reason.isOfFilterExpression != true }

    private func run(_ expression: String) async -> Result<CompiledFilter, Failure> {
        let end = await runChild(expression, slowly: false)
        let verdict = ChildVerdict(end, of: expression, requiresTags: requiresTags)
        guard case .outOfTime = end.cause else { return verdict.result }
        return ChildVerdict(await runChild(expression, slowly: true), of: expression, requiresTags: requiresTags).result
    }

    private func runChild(_ expression: String, slowly: Bool) async -> ChildEnd {
        await lanes.enter(slowly: slowly)
        let child = ChildProcess(
            command: command + (FilterText.asksAboutVLANs(expression) ? [FilterChild.tags] : []), input: Array(expression.utf8),
            time: ChildLimits.time,
            processorSeconds: slowly ? .infinity : ChildLimits.quickProcessorSeconds,
            maximumOutput: ChildLimits.answer)
        let end = await BlockingThread.run { child.run() }
        await lanes.leave(slowly: slowly)
        return end ?? ChildEnd(cause: .notStarted(EAGAIN, "a thread"))
    }
}

extension FilterCompiler {
    /// What keeps this process from compiling filters; `nil`: nothing. Found with one that looks for VLAN tags, which takes all that
    /// compiling can need, by a compiler that remembers nothing.
    public static func selfTest() async -> Failure? {
        do throws(Failure) {
            _ = try await FilterCompiler().compile("vlan and tcp")
            return nil
        } catch {
            return error
        }
    }
}

/// What expressions compiled to, the last ones that were asked for.
struct FilterCache {
    private var entries: [String: (result: Result<CompiledFilter, Failure>, used: UInt64)] = [:]
    private var clock: UInt64 = 0
    private let capacity: Int

    init(capacity: Int = 256) { self.capacity = capacity }

    /// Asking counts as use.
    subscript(expression: String) -> Result<CompiledFilter, Failure>? {
        mutating get {
            clock += 1
            entries[expression]?.used = clock
            return entries[expression]?.result
        }
        set {
            clock += 1
            entries[expression] = newValue.map { ($0, clock) }
            guard entries.count > capacity, let oldest = entries.min(by: { $0.value.used < $1.value.used }) else { return }
            entries[oldest.key] = nil
        }
    }
}

/// What can be said of an expression without compiling it.
enum FilterText {
    /// Why an expression is not even tried.
    static func refusal(of expression: String) -> Failure? {
        let bytes = expression.utf8
        if bytes.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) {
            return invalid("the filter is empty: write a pcap-filter expression, or leave it out for everything")
        }
        guard bytes.count <= ChildLimits.expression else {
            return invalid("the filter has \(bytes.count) bytes; at most \(ChildLimits.expression) are allowed: make it shorter")
        }
        if bytes.contains(0) { return invalid("the filter has a NUL character: remove it") }
        if bytes.contains(UInt8(ascii: "#")) {
            return invalid(
                "the filter has a #, and libpcap knows no comments: remove them, or have `virt-tap set --filter-file` read the file, which "
                    + "leaves them out")
        }
        let end = expression.split { $0.isWhitespace }.last ?? ""
        if ["and", "or", "not"].contains(end) || ["&&", "||", "!"].contains(where: end.hasSuffix) {
            return invalid("the filter ends with \(end), behind which something must stand: remove it, or write what is missing")
        }
        for word in ["inbound", "outbound"] where has(word, in: expression) {
            return invalid(
                "the filter says \(word), which libpcap sees from the host, the reverse of the guest's view: remove it and write "
                    + "direction=\"\(word)\" on the tap")
        }
        return nil
    }

    /// Whether a word of the language occurs; names that only contain it do not count.
    private static func has(_ word: String, in expression: String) -> Bool {
        expression.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) && !"_-.:\\".contains($0) }.contains { $0 == word[...] }
    }

    /// Whether the word `vlan` may be in it. Rather once too often: where it is not, this costs milliseconds.
    static func asksAboutVLANs(_ expression: String) -> Bool { expression.contains("vlan") }

    static func invalid(_ message: String) -> Failure { Failure(.invalidFilter, message) }
}
