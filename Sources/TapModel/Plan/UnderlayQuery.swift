// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is asked of the host for a tunnel: how packets get to its remote end.
public struct UnderlayQuery: Hashable, Sendable {
    public var remote: [UInt8]
    /// The address that they are to come from; `nil`: what the route says.
    public var source: [UInt8]?

    /// - Returns: `nil` for addresses that the grammar would not have let through.
    public init?(_ tunnel: Tunnel) {
        guard let remote = IPAddress.bytes(tunnel.remote) else { return nil }
        self.remote = remote
        source = tunnel.source.flatMap { IPAddress.bytes($0) }
    }
}
