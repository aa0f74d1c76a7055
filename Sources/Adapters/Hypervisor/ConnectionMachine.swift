// SPDX-License-Identifier: LGPL-2.1-or-later
import TapModel

/// When to connect, when to wait and what to report: the rules of a connection that is made again whenever it is lost.
///
/// Pure: it gets what happened and returns what to do. Every attempt has a number, and inputs of an attempt that is over are
/// ignored, so a late close callback of an old connection cannot end a new one.
struct ConnectionMachine {
    enum Input: Equatable, Sendable {
        case start
        /// The attempt has led to a connection, with its events registered.
        case opened(Int, libvirtVersion: String)
        case refused(Int, why: String)
        /// The attempt has not come back within `patience`.
        case overdue(Int)
        /// The connection of this attempt is lost, before or after it was opened; `after`: the time since the attempt began.
        case lost(Int, why: String, after: Duration)
        /// The pause before the next attempt is over.
        case retry(Int)
        case stop
    }

    enum Action: Equatable, Sendable {
        case open(Int)
        /// Send `overdue` after this time, unless another timer is started or the timer is stopped.
        case watch(Int, Duration)
        /// Send `retry` after this time, under the same condition.
        case pause(Int, Duration)
        case stopTimer
        /// Use this attempt's connection from now on.
        case adopt(Int)
        /// Close this attempt's connection.
        case close(Int)
        case report(HypervisorEvent)
    }

    private enum Phase: Equatable {
        case idle
        case opening
        case connected
        case pausing
        case stopped
    }

    static let shortestPause = Duration.milliseconds(250)
    static let longestPause = Duration.seconds(10)
    /// How long an attempt may take before it is reported. It is not given up then: libvirt cannot interrupt it, and a
    /// second attempt would hang as well.
    static let patience = Duration.seconds(30)
    /// A connection that is lost sooner counts as a failure, so that a libvirtd that dies at once is not asked four times per second.
    static let shortestSuccess = Duration.seconds(10)

    private var phase = Phase.idle
    private var attempt = 0
    private var failures = 0
    /// Set when `lost` overtakes `opened`, since they come from different threads.
    private var lostWhileOpening: String?
    /// The last reported reason, so that each reason is reported once and not at each attempt.
    private var reported: String?

    /// - Parameter jitter: 0 up to 1, a new random number each time, so that many hosts do not connect in step.
    mutating func handle(_ input: Input, jitter: Double) -> [Action] {
        switch (input, phase) {
        case (.start, .idle):
            return connect()
        case (.opened(attempt, let version), .opening):
            if let why = lostWhileOpening { return [.close(attempt)] + report(why) + pause(jitter) }
            phase = .connected
            reported = nil
            return [.stopTimer, .adopt(attempt), .report(.connected(libvirtVersion: version))]
        case (.opened(let number, _), _):
            // The source was stopped meanwhile, so nobody uses the connection.
            return [.close(number)]
        case (.refused(attempt, let why), .opening):
            return report(why) + pause(jitter)
        case (.overdue(attempt), .opening):
            return report("libvirt has not answered the connection for \(Self.patience.components.seconds) s; still waiting for it")
        case (.lost(attempt, let why, _), .opening):
            lostWhileOpening = why
            return []
        case (.lost(attempt, let why, let after), .connected):
            if after >= Self.shortestSuccess { failures = 0 }
            return [.close(attempt)] + report(why) + pause(jitter)
        case (.retry(attempt), .pausing):
            return connect()
        case (.stop, .connected):
            phase = .stopped
            return [.close(attempt)]
        case (.stop, _):
            phase = .stopped
            return [.stopTimer]
        default:
            return []
        }
    }

    private mutating func connect() -> [Action] {
        attempt += 1
        phase = .opening
        lostWhileOpening = nil
        return [.open(attempt), .watch(attempt, Self.patience)]
    }

    private mutating func report(_ why: String) -> [Action] {
        if reported == why { return [] }
        reported = why
        return [.report(.disconnected(why: why))]
    }

    private mutating func pause(_ jitter: Double) -> [Action] {
        phase = .pausing
        // Six doublings exceed the longest pause; more would overflow some day.
        let full = min(Self.shortestPause * (1 << min(failures, 6)), Self.longestPause)
        failures += 1
        return [.pause(attempt, max(Self.shortestPause, full * (0.75 + 0.25 * jitter)))]
    }
}
