// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is asked of the host for a tunnel: how packets get to its remote end.
public struct UnderlayQuery: Hashable, Sendable {
    /// 4 or 16 bytes in network order.
    public var remote: [UInt8]
    /// The address that they are to come from; `nil`: what the route says.
    public var source: [UInt8]?
    /// The device that they are to leave by; `nil`: what the route says.
    public var device: String?

    public init(remote: [UInt8], source: [UInt8]? = nil, device: String? = nil) {
        self.remote = remote
        self.source = source
        self.device = device
    }

    /// - Returns: `nil` for addresses that the grammar would not have let through.
    public init?(_ tunnel: Tunnel) {
        guard let remote = IPAddress.bytes(tunnel.remote) else { return nil }
        self.init(remote: remote, source: tunnel.source.flatMap { IPAddress.bytes($0) }, device: tunnel.device)
    }
}
