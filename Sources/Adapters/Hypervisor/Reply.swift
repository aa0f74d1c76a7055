// SPDX-License-Identifier: LGPL-2.1-or-later
import Synchronization

/// The answer to one call, given by whoever is first: the thread that made the call, a timer, or a cancelled task.
final class Reply<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var continuation: CheckedContinuation<Value, any Error>?
    }

    private let state = Mutex(State())

    /// Whether nobody waits for the answer any more.
    var isGiven: Bool { state.withLock { $0.result != nil } }

    /// Gives the answer.
    /// - Returns: false when there was one before, and this one is dropped.
    @discardableResult
    func give(_ result: Result<Value, any Error>) -> Bool {
        let (isFirst, continuation) = state.withLock { state -> (Bool, CheckedContinuation<Value, any Error>?) in
            guard state.result == nil else { return (false, nil) }
            state.result = result
            defer { state.continuation = nil }
            return (true, state.continuation)
        }
        continuation?.resume(with: result)
        return isFirst
    }

    /// Waits for the answer. To be called once.
    /// - Parameter doing: what is waited for, for the message of a time-out, such as `list the domains`.
    /// - Throws: the error that was given; `LibvirtError` after `patience`; `CancellationError`.
    func value(for doing: String, within patience: Duration) async throws -> Value {
        let timer = Task {
            try await Task.sleep(for: patience)
            give(.failure(LibvirtError(message: "cannot \(doing): libvirt has not answered for \(patience); is a hook script hanging?")))
        }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await given()
        } onCancel: {
            give(.failure(CancellationError()))
        }
    }

    private func given() async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let ready = state.withLock { state -> Result<Value, any Error>? in
                if state.result == nil { state.continuation = continuation }
                return state.result
            }
            if let ready { continuation.resume(with: ready) }
        }
    }
}
