// SPDX-License-Identifier: LGPL-2.1-or-later

/// What virt-tap needs to know of a domain's XML.
public struct DomainDefinition: Hashable, Sendable {
    public var uuid: DomainUUID
    /// As libvirt has it: any bytes that XML can carry, so escape it wherever people read it.
    public var name: String
    public var interfaces: [DomainInterface]
    /// In the order of the metadata. Names of valid ones are unique: of two equal ones the first stands, and the others
    /// are invalid with `duplicate-name`.
    public var taps: [TapEntry]

    public init(uuid: DomainUUID, name: String, interfaces: [DomainInterface], taps: [TapEntry]) {
        self.uuid = uuid
        self.name = name
        self.interfaces = interfaces
        self.taps = taps
    }
}
