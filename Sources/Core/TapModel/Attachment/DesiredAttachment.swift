// SPDX-License-Identifier: LGPL-2.1-or-later

/// One attachment that ought to be there.
public struct DesiredAttachment: Hashable, Sendable {
    public var key: AttachmentKey
    public var domainName: String
    public var interface: AttachedInterface
    public var destinationKind: DestinationTarget.Kind
    public var wish: CopyWish
    /// What `wish.filter` compiles to; there exactly when that is.
    public var filter: CompiledFilter?
    public var mechanism: Mechanism

    /// Whether its copies go by the hop.
    public var needsHop: Bool { wish.needsHop(for: destinationKind) }

    public init(
        key: AttachmentKey, domainName: String, interface: AttachedInterface, destinationKind: DestinationTarget.Kind, wish: CopyWish,
        filter: CompiledFilter? = nil, mechanism: Mechanism
    ) {
        self.key = key
        self.domainName = domainName
        self.interface = interface
        self.destinationKind = destinationKind
        self.wish = wish
        self.filter = filter
        self.mechanism = mechanism
    }
}
