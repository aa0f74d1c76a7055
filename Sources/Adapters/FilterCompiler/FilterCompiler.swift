// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapSystem
public import TapModel

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
    ///   - command: The child: what is run, and what is told that it is one.
    ///   - requiresTags: Whether a filter that says `vlan` fails where it cannot be made to see the tags that the kernel keeps
    ///     beside frames, for which the child needs CAP_NET_RAW. Without, what is compiled is good for no more than to see
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
