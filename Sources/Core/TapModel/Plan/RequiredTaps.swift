// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether a domain may start here: every tap with `required="yes"` has to be in place.
///
/// In place means attached in every direction asked for on every interface that the tap selects, with a destination
/// that is defined and allowed. One that is only down does not count, nor one that is out of reach, elsewhere or stopped by the
/// host's `<limit>`: it comes back without the guest, and another guest's flood must keep none from starting.
public enum RequiredTaps {
    /// Why the domain must not start, a line for each required tap that is not in place; empty: it may.
    public static func missing(_ verdicts: [TapVerdict], kernel: KernelView) -> [String] {
        verdicts.filter(\.entry.isRequired).compactMap { verdict in
            obstacle(verdict, kernel).map { "required tap \(verdict.entry.name) is not in place: \($0)" }
        }
    }

    /// The same when there is nobody who could have put them in place.
    public static func unplaced(_ taps: [TapEntry], because why: String) -> [String] {
        taps.filter(\.isRequired).map { "required tap \($0.name) is not in place: \(why)" }
    }

    private static func obstacle(_ verdict: TapVerdict, _ kernel: KernelView) -> Failure? {
        switch verdict.outcome {
        case .refused(let failure):
            return failure
        case .evaluated(let destination, let interfaces):
            if let failure = destination.failure, !destination.isOnlyDown { return failure }
            return interfaces.lazy.compactMap { obstacle($0, kernel) }.first
        }
    }

    private static func obstacle(_ verdict: InterfaceVerdict, _ kernel: KernelView) -> Failure? {
        switch verdict.result {
        case .refused(let failure):
            return failure
        case .attach(let desired):
            if kernel.attachments[desired.key.id]?.satisfies(desired) == true { return nil }
            return kernel.failures[desired.key.id] ?? Failure(.attachFailed, "\(desired.interface.device) is not tapped")
        }
    }
}
