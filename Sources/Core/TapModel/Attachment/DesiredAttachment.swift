// SPDX-License-Identifier: LGPL-2.1-or-later

/// One attachment that ought to be there.
public struct DesiredAttachment: Hashable, Sendable {
    public var key: AttachmentKey
    public var domainName: String
    public var interface: AttachedInterface
    public var destinationKind: DestinationTarget.Kind
    public var options: CopyOptions
    /// What `options.filter` compiles to; there exactly when that is.
    public var filter: CompiledFilter?
    public var mechanism: Mechanism

    /// Whether its copies go by the relay.
    public var needsRelay: Bool { options.needsRelay(for: destinationKind) }

    public init(
        key: AttachmentKey, domainName: String, interface: AttachedInterface, destinationKind: DestinationTarget.Kind, options: CopyOptions,
        filter: CompiledFilter? = nil, mechanism: Mechanism
    ) {
        self.key = key
        self.domainName = domainName
        self.interface = interface
        self.destinationKind = destinationKind
        self.options = options
        self.filter = filter
        self.mechanism = mechanism
    }
}
