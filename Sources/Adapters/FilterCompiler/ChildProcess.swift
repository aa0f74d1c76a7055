// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Glibc
import TapSystem

/// Runs one child to its end, which comes in time or is brought about.
struct ChildProcess: Sendable {
    /// The program's path and its arguments; no shell, no search path.
    var command: [String]
    /// Written to its standard input, which ends then. Less than a pipe holds.
    var input: [UInt8]
    /// Until it is killed.
    var time: Duration
    /// Seconds of processor time until it is killed, give or take `look`; its own limit may be less.
    var processorSeconds: Double
    /// Bytes that it may write.
    var maximumOutput: Int

    /// Milliseconds between two looks at how much it has used.
    private static let look: Int32 = 20

    /// Blocks until the child was started, has ended and was reaped. To end one that has become nobody takes CAP_KILL of root; without,
    /// it is waited for until its own limits end it. To be called on a thread that ignores SIGPIPE: the child is
    /// killed when that thread ends.
    func run() -> ChildEnd {
        let deadline = Deadline(in: time)
        var arguments = command.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var child = clibpcap_child()
        let code = clibpcap_spawn(&arguments, &child)
        guard code == 0 else { return ChildEnd(cause: .notStarted(-code, "posix_spawn of \(command[0])")) }
        defer { close(child.output) }
        // A child that reads nothing leaves it in the pipe, one that has ended already will be found to have.
        _ = input.withUnsafeBytes { write(child.input, $0.baseAddress, $0.count) }
        close(child.input)

        var end = ChildEnd(cause: .exited(0))
        let cause = read(from: child, until: deadline, into: &end.output)
        // Whatever it wrote, it is waited for no longer than its time.
        let isOver = cause == nil && hasEnded(child.pid, by: deadline)
        if !isOver { kill(child.pid, SIGKILL) }
        var status: Int32 = 0
        var usage = rusage()
        while wait4(child.pid, &status, 0, &usage) < 0, errno == EINTR {}
        end.processorSeconds = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
        let signal = status & 0x7F
        end.cause = isOver ? (signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)) : cause ?? .outOfTime
        return end
    }

    /// - Returns: why it is not waited for any longer; `nil`: it closed its output.
    private func read(from child: clibpcap_child, until deadline: Deadline, into bytes: inout [UInt8]) -> ChildEnd.Cause? {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            var poll = pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)
            let ready = Glibc.poll(&poll, 1, min(deadline.pollMilliseconds, Self.look))
            if ready == 0 {
                if deadline.hasPassed || Self.used(by: child.pid) > processorSeconds { return .outOfTime }
                continue
            }
            if ready < 0 {
                guard errno == EINTR else { return .outOfTime }
                continue
            }
            let count = Glibc.read(child.output, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            bytes += chunk[..<count]
            if bytes.count > maximumOutput { return .wroteTooMuch }
        }
    }

    /// Waits for the end without reaping, so that the number stays the child's.
    private func hasEnded(_ pid: pid_t, by deadline: Deadline) -> Bool {
        while true {
            var info = siginfo_t()
            guard waitid(P_PID, id_t(pid), &info, Int32(WEXITED | WNOHANG | WNOWAIT)) == 0 || errno == EINTR else { return false }
            // Zeroed when there is nothing to tell.
            if info.si_signo == SIGCHLD { return true }
            if deadline.hasPassed { return false }
            usleep(500)
        }
    }

    /// Seconds of processor time until now.
    private static func used(by pid: pid_t) -> Double {
        var (clock, time) = (clockid_t(), timespec())
        guard clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}

/// Who may run a child now. Slow ones, of which there is one at a time, keep nobody else from running.
actor ChildLanes {
    private var running = 0
    private var isSlowRunning = false
    private var quick: [CheckedContinuation<Void, Never>] = []
    private var slow: [CheckedContinuation<Void, Never>] = []

    /// Returns when there is room, which `leave` gives back.
    func enter(slowly: Bool) async {
        if running < ChildLimits.parallel, !slowly || !isSlowRunning {
            running += 1
            isSlowRunning = isSlowRunning || slowly
        } else {
            await withCheckedContinuation { if slowly { slow.append($0) } else { quick.append($0) } }
        }
    }

    func leave(slowly: Bool) {
        running -= 1
        if slowly { isSlowRunning = false }
        if !quick.isEmpty {
            running += 1
            quick.removeFirst().resume()
        } else if !slow.isEmpty, !isSlowRunning {
            running += 1
            isSlowRunning = true
            slow.removeFirst().resume()
        }
    }
}

/// How a child ended, and what it had written by then.
struct ChildEnd: Sendable {
    enum Cause: Hashable, Sendable {
        case exited(Int32)
        case signalled(Int32)
        /// It was killed because its time was up.
        case outOfTime
        /// It was killed because it wrote too much.
        case wroteTooMuch
        /// It was never started: errno, and what of.
        case notStarted(Int32, String)
    }

    var cause: Cause
    var output: [UInt8] = []
    /// Seconds of processor time that it used.
    var processorSeconds = 0.0
}
