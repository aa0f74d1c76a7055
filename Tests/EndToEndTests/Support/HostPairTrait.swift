// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

/// Makes two joined hosts for a whole suite, as `TappedHostTrait` makes one. When all guests are gone, no attachment may
/// be left on either.
struct HostPairTrait: SuiteTrait, TestScoping {
    let prepare: @Sendable (HostPair) async throws -> Void

    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        try await HostPair.with { pair async throws in
            try await prepare(pair)
            try await HostPair.$current.withValue(pair) { try await function() }
            for host in pair.hosts { try await host.endGuests() }
        }
    }
}

extension Trait where Self == HostPairTrait {
    /// Two hosts, and what `prepare` adds, shared by the suite's tests as `HostPair.current`.
    static func hostPair(_ prepare: @escaping @Sendable (HostPair) async throws -> Void) -> Self {
        HostPairTrait(prepare: prepare)
    }
}
