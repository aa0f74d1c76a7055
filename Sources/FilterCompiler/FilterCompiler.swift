// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// Compiles filter expressions, each in a child that may do nothing else.
public struct FilterCompiler: Sendable {
    /// The child: what is run, and what is told that it is one.
    public var command: [String]

    public init(command: [String]) { self.command = command }

    /// - Throws: `invalid-filter` with libpcap's words.
    public func compile(_ expression: String) async throws(Failure) -> CompiledFilter {
        throw Failure(.invalidFilter, "filters are not compiled yet")
    }
}
