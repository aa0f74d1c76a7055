// SPDX-License-Identifier: LGPL-2.1-or-later

/// One tap of one domain, on whatever devices.
public struct TapKey: Hashable, Sendable {
    public var domain: DomainUUID
    public var origin: TapOrigin
    public var name: TapName

    public init(domain: DomainUUID, origin: TapOrigin, name: TapName) {
        self.domain = domain
        self.origin = origin
        self.name = name
    }
}
