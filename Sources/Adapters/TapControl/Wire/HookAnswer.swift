// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the daemon says to a hook call.
public struct HookAnswer: Hashable, Sendable {
    /// `false`: a required tap cannot be placed, and the domain is not to start. Counts at `prepare` and `start` only.
    public var allow: Bool
    /// Why not, or what there is to know; for libvirt's log.
    public var message: String?
    /// One line a tap: what was done, or why not. Cut short when they do not fit into a header.
    public var lines: [String]

    public init(allow: Bool, message: String? = nil, lines: [String] = []) {
        self.allow = allow
        self.message = message
        self.lines = lines
    }
}
