// SPDX-License-Identifier: LGPL-2.1-or-later
import CLibvirt
import Glibc
import TapModel

/// Reads domains over an open connection. Everything here blocks; errors are `LibvirtError`.
enum DomainReader {
    /// Reads every domain. A domain that goes away meanwhile is left out.
    static func domains(_ connection: virConnectPtr) throws -> [DomainSnapshot] {
        try withList(connection) { try $0.compactMap(snapshotIfThere) }
    }

    /// Reads the names of all domains.
    static func names(_ connection: virConnectPtr) throws -> [String] {
        try withList(connection) { $0.compactMap { virDomainGetName($0).map { String(cString: $0) } } }
    }

    /// Reads one domain; `nil` only when libvirt says that there is none.
    static func domain(_ uuid: DomainUUID, _ connection: virConnectPtr) throws -> DomainSnapshot? {
        do {
            return try withDomain(uuid, connection, snapshotIfThere)
        } catch let error as LibvirtError where error.isNoDomain {
            return nil
        }
    }

    static func withDomain<Value>(_ uuid: DomainUUID, _ connection: virConnectPtr, _ body: (virDomainPtr) throws -> Value) throws -> Value {
        guard let domain = virDomainLookupByUUID(connection, uuid.bytes) else {
            throw LibvirtError.last("look up the domain \(uuid)")
        }
        defer { virDomainFree(domain) }
        return try body(domain)
    }

    /// Reads the domain that an operator means, as virsh does: the text is tried as a number, as a UUID and as a name.
    /// - Throws: `LibvirtError`, where `isNoDomain` says that there is none.
    static func domain(givenBy text: String, _ connection: virConnectPtr) throws -> DomainSnapshot {
        var found: virDomainPtr?
        if let id = Int32(text), id >= 0 { found = virDomainLookupByID(connection, id) }
        // Like virsh, accept only the form with dashes, so that a name of 32 digits stays a name.
        if found == nil, text.utf8.count == 36 { found = virDomainLookupByUUIDString(connection, text) }
        if found == nil { found = virDomainLookupByName(connection, text) }
        guard let found else { throw LibvirtError.last("look up the domain \(text)") }
        defer { virDomainFree(found) }
        return try snapshot(found)
    }

    /// Reads the domain of exactly this name; `nil` only when libvirt says that there is none.
    static func domain(named name: String, _ connection: virConnectPtr) throws -> DomainSnapshot? {
        guard let found = virDomainLookupByName(connection, name) else {
            let error = LibvirtError.last("look up the domain \(name)")
            if error.isNoDomain { return nil }
            throw error
        }
        defer { virDomainFree(found) }
        return try snapshotIfThere(found)
    }

    static func uuid(_ domain: virDomainPtr) -> DomainUUID? {
        var bytes = [UInt8](repeating: 0, count: Int(VIR_UUID_BUFLEN))
        guard virDomainGetUUID(domain, &bytes) == 0 else { return nil }
        return DomainUUID(bytes: bytes)
    }

    private static func withList<Value>(_ connection: virConnectPtr, _ body: ([virDomainPtr]) throws -> Value) throws -> Value {
        var list: UnsafeMutablePointer<virDomainPtr?>?
        let count = virConnectListAllDomains(connection, &list, 0)
        guard count >= 0 else { throw LibvirtError.last("list the domains") }
        let domains = UnsafeBufferPointer(start: list, count: Int(count)).compactMap { $0 }
        defer {
            for domain in domains { virDomainFree(domain) }
            free(list)
        }
        return try body(domains)
    }

    private static func snapshotIfThere(_ domain: virDomainPtr) throws -> DomainSnapshot? {
        do {
            return try snapshot(domain)
        } catch let error as LibvirtError where error.isNoDomain {
            return nil
        }
    }

    private static func snapshot(_ domain: virDomainPtr) throws -> DomainSnapshot {
        guard let uuid = uuid(domain), let name = virDomainGetName(domain) else { throw LibvirtError.last("identify a domain") }
        let isPersistent = try yes(virDomainIsPersistent(domain), "ask whether the domain \(uuid) is persistent")
        // For a domain that has stopped meanwhile, libvirt returns the persistent XML as the live one: hence the second check.
        var live: [UInt8] = []
        var isRunning = try isActive(domain, uuid)
        if isRunning {
            live = try xml(domain, 0, uuid)
            isRunning = try isActive(domain, uuid)
        }
        return DomainSnapshot(
            uuid: uuid, name: String(cString: name), isRunning: isRunning,
            hasMigratedAway: try !isRunning && hasMigratedAway(domain, uuid), isPersistent: isPersistent,
            liveXML: isRunning ? live : [],
            persistentXML: isPersistent ? try xml(domain, VIR_DOMAIN_XML_INACTIVE.rawValue, uuid) : nil)
    }

    private static func isActive(_ domain: virDomainPtr, _ uuid: DomainUUID) throws -> Bool {
        try yes(virDomainIsActive(domain), "ask whether the domain \(uuid) is running")
    }

    private static func hasMigratedAway(_ domain: virDomainPtr, _ uuid: DomainUUID) throws -> Bool {
        var state: Int32 = 0
        var reason: Int32 = 0
        guard virDomainGetState(domain, &state, &reason, 0) == 0 else { throw LibvirtError.last("ask for the state of the domain \(uuid)") }
        return state == Int32(VIR_DOMAIN_SHUTOFF.rawValue) && reason == Int32(VIR_DOMAIN_SHUTOFF_MIGRATED.rawValue)
    }

    private static func yes(_ answer: Int32, _ doing: String) throws -> Bool {
        guard answer >= 0 else { throw LibvirtError.last(doing) }
        return answer == 1
    }

    /// Reads the XML's bytes unchanged: the parser checks that they are UTF-8.
    private static func xml(_ domain: virDomainPtr, _ flags: UInt32, _ uuid: DomainUUID) throws -> [UInt8] {
        guard let text = virDomainGetXMLDesc(domain, flags) else { throw LibvirtError.last("read the XML of the domain \(uuid)") }
        defer { free(text) }
        return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}
