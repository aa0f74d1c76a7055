// SPDX-License-Identifier: LGPL-2.1-or-later

/// What libvirt says of the domains of this host, to find those that copies are to go to.
public struct DomainDirectory: Sendable {
    public struct Entry: Hashable, Sendable {
        public var name: String
        /// `nil`: it does not run here.
        public var interfaces: [DomainInterface]?
        /// Whether its last run ended by a migration to another host.
        public var hasMigratedAway: Bool

        public init(name: String, interfaces: [DomainInterface]?, hasMigratedAway: Bool = false) {
            self.name = name
            self.interfaces = interfaces
            self.hasMigratedAway = hasMigratedAway
        }

        /// As libvirt reported it.
        /// - Parameter interfaces: what its live XML names; `nil`: that cannot be read, so that none of them is known.
        public init(_ snapshot: DomainSnapshot, interfaces: [DomainInterface]?) {
            self.init(
                name: snapshot.name, interfaces: snapshot.isRunning ? interfaces ?? [] : nil, hasMigratedAway: snapshot.hasMigratedAway)
        }
    }

    private var entries: [DomainUUID: Entry] = [:]
    /// Whether a domain that is not here, and that somebody asks for, is not on this host: libvirt has been asked for it, or has listed all.
    public var isComplete = false

    public init() {}

    public subscript(uuid: DomainUUID) -> Entry? {
        get { entries[uuid] }
        set { entries[uuid] = newValue }
    }

    /// The domain that somebody probably meant by a name that none has; `nil`: none is that near. One that differs by its number alone is
    /// not meant: it is the next of a series.
    func nearest(to name: String) -> String? {
        func series(_ name: String) -> String { name.filter { !$0.isNumber } }
        let names = Set(entries.values.map(\.name)).filter { series($0) != series(name) }
        return NearestName.of(name, among: names.sorted())
    }

    /// The domains of that name and UUID, where given; libvirt's names are unique among those that are defined or run.
    func find(name: String?, uuid: DomainUUID?) -> [(uuid: DomainUUID, entry: Entry)] {
        if let uuid {
            guard let entry = entries[uuid], name == nil || entry.name == name else { return [] }
            return [(uuid, entry)]
        }
        return entries.filter { $0.value.name == name }.map { (uuid: $0.key, entry: $0.value) }
    }
}
