// SPDX-License-Identifier: LGPL-2.1-or-later

/// What makes two attachments the same one: the domain, who wished the tap, its name, and the very device.
///
/// The ifindex is part of it because libvirt reuses device names and the domain's next run is another device.
public struct AttachmentKey: Hashable, Codable, Sendable {
    public var domain: DomainUUID
    public var origin: TapOrigin
    public var tap: TapName
    public var ifindex: UInt32

    public init(domain: DomainUUID, origin: TapOrigin, tap: TapName, ifindex: UInt32) {
        self.domain = domain
        self.origin = origin
        self.tap = tap
        self.ifindex = ifindex
    }

    /// The name of the attachment's directory of pins.
    public var id: AttachmentID { AttachmentID(self) }
}
