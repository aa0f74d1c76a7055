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

/// An `<allow>`: a domain by UUID, or by a name in which `*` stands for any characters and `?` for one.
public enum DomainPattern: Hashable, Sendable {
    case uuid(DomainUUID)
    case name(String)

    public func matches(_ domain: DomainDefinition) -> Bool {
        switch self {
        case .uuid(let uuid): uuid == domain.uuid
        case .name(let pattern): Self.glob(Array(pattern.unicodeScalars), Array(domain.name.unicodeScalars))
        }
    }

    /// Linear in pattern times name: on a mismatch only the last star is tried again, never an earlier one.
    private static func glob(_ pattern: [Unicode.Scalar], _ text: [Unicode.Scalar]) -> Bool {
        var at = 0
        var position = 0
        var star: (pattern: Int, text: Int)?
        while position < text.count {
            if at < pattern.count, pattern[at] == "*" {
                star = (at, position)
                at += 1
            } else if at < pattern.count, pattern[at] == "?" || pattern[at] == text[position] {
                at += 1
                position += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                at = last.pattern + 1
                position = last.text + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == "*" }
    }
}
