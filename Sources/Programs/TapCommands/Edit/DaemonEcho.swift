// SPDX-License-Identifier: LGPL-2.1-or-later

import TapControl
import TapModel

/// Waits until a daemon has seen a change of a running domain, and says what became of it.
struct DaemonEcho {
    /// For standard output, one line without its end; `nil`: nothing to say there.
    var done: String?
    /// For standard error.
    var warning: String?
    /// Whether the tap was seen not to work.
    var isUnhealthy = false

    /// The longest that a command waits, and how often it looks meanwhile.
    private static let patience: Duration = .seconds(3)
    private static let pause: Duration = .milliseconds(100)
    /// How long what may pass by itself may last, such as a neighbour's answer that is awaited.
    private static let grace: Duration = .seconds(1)

    /// - Parameters:
    ///   - clock: tells how long it has waited, and waits.
    ///   - look: a status document, as it is now, in no longer than it is told.
    static func of<Time: Clock>(
        _ expectation: TapExpectation, patience: Duration = patience, grace: Duration = grace, pause: Duration = pause,
        clock: Time = ContinuousClock(), look: (Duration) throws(ControlError) -> StatusDocument
    ) async -> DaemonEcho where Time.Duration == Duration {
        let begin = clock.now
        let end = begin.advanced(by: patience)
        var before: TapExpectation.Finding?
        while true {
            let document: StatusDocument
            do throws(ControlError) {
                document = try look(max(pause, clock.now.duration(to: end)))
            } catch .timedOut {
                // It may have answered a moment ago.
                return DaemonEcho(
                    warning: before?.trouble
                        ?? "virt-tapd does not answer, so this takes effect when it does; `systemctl restart virt-tapd` harms no tap",
                    isUnhealthy: before?.isBad == true)
            } catch .notRunning {
                return DaemonEcho(warning: "virt-tapd is not running: this takes effect when it runs")
            } catch {
                return DaemonEcho(warning: "what virt-tapd makes of it cannot be asked: \(error)")
            }
            if document.daemon.connected == false {
                return DaemonEcho(warning: "virt-tapd is not connected to libvirt: this takes effect when it is")
            }
            let finding = expectation.finding(in: document)
            switch finding {
            case .good(let line): return DaemonEcho(done: line.isEmpty ? nil : line)
            // Twice the same: what fails at first may be mended by the next event.
            case .bad(let line, let isPassing) where finding == before && (!isPassing || begin.duration(to: clock.now) >= grace):
                return DaemonEcho(warning: line, isUnhealthy: true)
            case .off(let line) where finding == before: return DaemonEcho(warning: line)
            case .bad, .off, .underway, .unseen: break
            }
            before = finding
            guard clock.now < end else {
                return DaemonEcho(
                    warning: finding.trouble
                        ?? "\(expectation.domain.printable): virt-tapd has not seen the change yet; `virt-tap status` tells when it has",
                    isUnhealthy: finding.isBad)
            }
            try? await clock.sleep(for: pause)
        }
    }
}
