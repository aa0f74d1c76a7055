// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibvirt
public import TapModel

/// Reads domains and changes their metadata, for one command: a connection that is opened, used and closed, with no events
/// and no reconnecting.
///
/// Changes need a read-write connection, which libvirt gives to root and to users whom polkit or the socket's group allows it.
/// Every call returns after at most 30 s. All errors are `MetadataEditError`, but for `CancellationError`.
public final class LibvirtMetadataEditor: Sendable {
    /// The URI that libvirt chose.
    public var uri: String { connection.uri }
    /// The version of libvirt's daemon, such as `9.0.0`.
    public var libvirtVersion: String { connection.libvirtVersion }

    private let connection: LibvirtConnection

    /// Opens the connection.
    ///
    /// - Parameters:
    ///   - uri: as for `virsh --connect`; `nil` for `LIBVIRT_DEFAULT_URI` or else `qemu:///system`.
    ///   - readOnly: true for a command that only reads, which everybody may do.
    public init(uri: String?, readOnly: Bool = false) async throws {
        connection = try await Self.typed {
            try await LibvirtConnection.opened(uri: uri, readOnly: readOnly)
        }
    }

    deinit {
        connection.close()
    }

    /// Reads the domain that an operator means: the text is tried as a number (of a running domain), then as a UUID, then as a name, as virsh does.
    /// - Throws: `noSuchDomain`, `unreachable`, `denied`.
    public func domain(named name: String) async throws -> DomainSnapshot {
        try await Self.typed {
            try await connection.call("look up the domain") { try DomainReader.domain(givenBy: name, $0) }
        }
    }

    /// Reads the domain of exactly this name, whatever numbers and UUIDs others have; `nil`: there is none.
    /// - Throws: `unreachable`, `denied`.
    public func domain(called name: String) async throws -> DomainSnapshot? {
        try await Self.typed {
            try await connection.call("look up the domain") { try DomainReader.domain(named: name, $0) }
        }
    }

    /// Reads the domain of this UUID; `nil`: there is none.
    /// - Throws: `unreachable`, `denied`.
    public func domain(_ uuid: DomainUUID) async throws -> DomainSnapshot? {
        try await Self.typed {
            try await connection.call("look up the domain") { try DomainReader.domain(uuid, $0) }
        }
    }

    /// Reads the names of all domains, running or not, in no particular order.
    public func names() async throws -> [String] {
        try await Self.typed {
            try await connection.call("list the domains") { try DomainReader.names($0) }
        }
    }

    /// Sets or removes one element of a domain's metadata. An element of the same namespace is replaced.
    ///
    /// With both `live` and `config` libvirt changes both or neither. With neither it changes the current metadata: the live
    /// one of a running domain, else the persistent one. Removing an element that does not exist succeeds.
    ///
    /// - Parameters:
    ///   - xml: one element, whose namespace libvirt adds under the prefix `key`; `nil` to remove the element.
    ///   - uuid: of the domain, as `domain(named:)` reports it.
    ///   - uri: the namespace.
    ///   - key: the prefix: an XML name without a colon.
    /// - Throws: `noSuchDomain`, `notRunning`, `notPersistent`, `denied`, `refused`, `unreachable`.
    public func setMetadata(
        _ xml: String?, of uuid: DomainUUID, uri: String, key: String, live: Bool, config: Bool
    ) async throws {
        var flags = VIR_DOMAIN_AFFECT_CURRENT.rawValue
        if live { flags |= VIR_DOMAIN_AFFECT_LIVE.rawValue }
        if config { flags |= VIR_DOMAIN_AFFECT_CONFIG.rawValue }
        try await Self.typed { [flags] in
            try await connection.call("change the metadata of the domain \(uuid)") { connection in
                try DomainReader.withDomain(uuid, connection) { domain in
                    if live, virDomainIsActive(domain) == 0 {
                        throw MetadataEditError.notRunning("the domain \(uuid) is not running: it has no live metadata to change")
                    }
                    if config, virDomainIsPersistent(domain) == 0 {
                        throw MetadataEditError.notPersistent("the domain \(uuid) is transient: it has no persistent metadata to change")
                    }
                    let element = Int32(bitPattern: VIR_DOMAIN_METADATA_ELEMENT.rawValue)
                    guard virDomainSetMetadata(domain, element, xml, key, uri, flags) == 0 else {
                        throw LibvirtError.last("change the metadata of the domain \(uuid)")
                    }
                }
            }
        }
    }

    private static func typed<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as LibvirtError {
            throw error.metadataEditError
        }
    }
}

extension LibvirtError {
    fileprivate var metadataEditError: MetadataEditError {
        if isNoDomain { return .noSuchDomain(message) }
        if isDenied { return .denied(message) }
        return isUnreachable ? .unreachable(message) : .refused(message)
    }
}

/// Why a domain's metadata could not be read or written. Each case carries libvirt's own text, or ours, for the operator.
///
/// libvirt's text repeats names as they were given: escape it before a terminal shows it.
public enum MetadataEditError: Error, Hashable, Sendable {
    /// libvirt cannot be reached, or the connection was lost meanwhile.
    case unreachable(String)
    /// There is no domain of this name, UUID or number.
    case noSuchDomain(String)
    /// The live metadata of a domain that is not running was to be changed.
    case notRunning(String)
    /// The persistent metadata of a transient domain was to be changed.
    case notPersistent(String)
    /// The user may not change domains.
    case denied(String)
    /// libvirt refused the change for another reason, such as XML that it cannot parse.
    case refused(String)
}

extension MetadataEditError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let words), .noSuchDomain(let words), .notRunning(let words), .notPersistent(let words),
            .denied(let words), .refused(let words):
            words
        }
    }
}
