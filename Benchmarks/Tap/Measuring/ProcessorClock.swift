// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc

/// The processor's time for everything that a written frame causes.
///
/// This thread stays on one processor. What the kernel does in soft interrupts at the end of each write is charged to the
/// thread, as there is no IRQ time accounting; what it puts off runs in that processor's ksoftirqd, whose time is added.
/// So others that compute on the same processor do not count, except for what they do to its caches.
struct ProcessorClock {
    struct Reading {
        /// Of the thread and of ksoftirqd, in nanoseconds.
        var processor: UInt64
        var wall: UInt64
    }

    let processor: Int
    private let allowed: String
    /// The statistics of ksoftirqd on that processor; `nil` where they cannot be seen.
    private let deferred: CInt?

    /// Pins the main thread, which has to be the one that calls.
    /// - Parameter processor: which one; `nil`: the last that this thread may use.
    init(processor wanted: Int?) throws {
        allowed = try Self.allowedProcessors()
        guard let chosen = wanted ?? allowed.split(whereSeparator: { ",-".contains($0) }).last.flatMap({ Int($0) }) else {
            throw BenchmarkFailure("of the processors \(allowed) none can be chosen")
        }
        try run("taskset", "--pid", "--cpu-list", "\(chosen)", "\(getpid())")
        processor = chosen
        deferred = Self.open(thread: "ksoftirqd/\(chosen)")
    }

    /// Where this thread may run: a list such as `0-3,6`.
    static func allowedProcessors() throws -> String {
        let status = try String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)
        return String(status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }?.split(separator: "\t").last ?? "0")
    }

    /// Lets the thread run wherever it might before.
    func unpin() throws { try run("taskset", "--pid", "--cpu-list", allowed, "\(getpid())") }

    /// Whether time that the kernel puts off would be seen.
    var seesDeferredWork: Bool { deferred != nil }

    /// Where ksoftirqd cannot be seen, the time on the wall has to do, which is right on a machine that does nothing else.
    func read() -> Reading {
        let wall = Self.nanoseconds(CLOCK_MONOTONIC)
        let processor = seesDeferredWork ? Self.nanoseconds(CLOCK_THREAD_CPUTIME_ID) + deferredTime() : wall
        return Reading(processor: processor, wall: wall)
    }

    static func nanoseconds(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private func deferredTime() -> UInt64 {
        guard let deferred else { return 0 }
        // schedstat: nanoseconds on the processor, then others.
        var text = [UInt8](repeating: 0, count: 64)
        let count = pread(deferred, &text, text.count, 0)
        return UInt64(String(decoding: text.prefix(max(0, count)).prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)) ?? 0
    }

    private static func open(thread name: String) -> CInt? {
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] where entry.allSatisfy(\.isNumber) {
            guard let line = try? String(contentsOfFile: "/proc/\(entry)/comm", encoding: .utf8), line == name + "\n" else { continue }
            let descriptor = Glibc.open("/proc/\(entry)/schedstat", O_RDONLY | O_CLOEXEC)
            return descriptor >= 0 ? descriptor : nil
        }
        return nil
    }
}
