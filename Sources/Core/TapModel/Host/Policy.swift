// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the host lets domains' metadata do.
public struct Policy: Hashable, Sendable {
    /// `taps="no"` stops all copying on this host.
    public var tapsAllowed: Bool
    /// How many taps one domain may have, 1 to 32.
    public var maximumTaps: UInt32
    /// `nil`: no inline destinations at all.
    public var inline: InlinePolicy?

    public init(tapsAllowed: Bool = true, maximumTaps: UInt32 = 8, inline: InlinePolicy? = nil) {
        self.tapsAllowed = tapsAllowed
        self.maximumTaps = maximumTaps
        self.inline = inline
    }
}

/// Which inline destinations are allowed: both lists must allow one.
public struct InlinePolicy: Hashable, Sendable {
    public var kinds: Set<Tunnel.Kind>
    /// Networks in CIDR notation, IPv4 or IPv6; checked by the parser.
    public var remotes: [AddressRange]

    public init(kinds: Set<Tunnel.Kind>, remotes: [AddressRange]) {
        self.kinds = kinds
        self.remotes = remotes
    }
}
