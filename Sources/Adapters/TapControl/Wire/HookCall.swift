// SPDX-License-Identifier: LGPL-2.1-or-later

/// One call of libvirt's qemu hook, as libvirt made it.
public struct HookCall: Hashable, Sendable {
    /// The domain's name. Any characters: escape it where people read it.
    public var guest: String
    /// A `HookOperation`, or one that this version does not know.
    public var operation: String
    /// `begin`, `end` or `-`.
    public var suboperation: String
    public var extra: String
    /// The domain's XML from standard input, not interpreted.
    public var xml: [UInt8]

    public init(guest: String, operation: String, suboperation: String, extra: String, xml: [UInt8]) {
        self.guest = guest
        self.operation = operation
        self.suboperation = suboperation
        self.extra = extra
        self.xml = xml
    }
}
