// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

/// Makes one tapped host for a whole suite, and ends it with the suite: guests take ten seconds to boot.
///
/// A test leaves the host as it found it. When they have all run and the guests are gone, no attachment may be left.
struct TappedHostTrait: SuiteTrait, TestScoping {
    let prepare: @Sendable (TappedHost) async throws -> Void

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await TappedHost.with { host async throws in
            try await prepare(host)
            try await TappedHost.$current.withValue(host) { try await function() }
            try await host.endGuests()
        }
    }
}

extension Trait where Self == TappedHostTrait {
    /// A host with the hook and the daemon, and what `prepare` adds, shared by the suite's tests as `TappedHost.current`.
    static func tappedHost(_ prepare: @escaping @Sendable (TappedHost) async throws -> Void) -> Self {
        TappedHostTrait(prepare: prepare)
    }
}
