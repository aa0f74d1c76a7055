// SPDX-License-Identifier: LGPL-2.1-or-later
import CLibvirt
import TapModel

@testable import Hypervisor

/// Somebody else at libvirt: a read-write connection through which a test defines, starts and stops domains. Calls block.
struct Administrator: ~Copyable {
    private let pointer: virConnectPtr

    init(uri: String) throws {
        try EventLoop.ensureRunning()
        guard let pointer = virConnectOpen(uri) else { throw LibvirtError.last("open \(uri)") }
        self.pointer = pointer
    }

    deinit {
        virConnectClose(pointer)
    }

    @discardableResult
    func define(_ xml: String) throws -> DomainUUID {
        guard let domain = virDomainDefineXML(pointer, xml) else { throw LibvirtError.last("define") }
        defer { virDomainFree(domain) }
        return try identify(domain)
    }

    /// Runs a domain that is not kept.
    @discardableResult
    func create(_ xml: String, _ flags: virDomainCreateFlags = VIR_DOMAIN_NONE) throws -> DomainUUID {
        guard let domain = virDomainCreateXML(pointer, xml, flags.rawValue) else { throw LibvirtError.last("create") }
        defer { virDomainFree(domain) }
        return try identify(domain)
    }

    func start(_ uuid: DomainUUID, _ flags: virDomainCreateFlags = VIR_DOMAIN_NONE) throws {
        try on(uuid) { virDomainCreateWithFlags($0, flags.rawValue) }
    }

    func destroy(_ uuid: DomainUUID) throws { try on(uuid) { virDomainDestroy($0) } }
    func undefine(_ uuid: DomainUUID) throws { try on(uuid) { virDomainUndefine($0) } }
    func suspend(_ uuid: DomainUUID) throws { try on(uuid) { virDomainSuspend($0) } }
    func resume(_ uuid: DomainUUID) throws { try on(uuid) { virDomainResume($0) } }
    func rename(_ uuid: DomainUUID, _ name: String) throws { try on(uuid) { virDomainRename($0, name, 0) } }

    func plug(_ uuid: DomainUUID, _ xml: String) throws {
        try on(uuid) { virDomainAttachDeviceFlags($0, xml, VIR_DOMAIN_AFFECT_LIVE.rawValue) }
    }

    func unplug(_ uuid: DomainUUID, _ xml: String) throws {
        try on(uuid) { virDomainDetachDeviceFlags($0, xml, VIR_DOMAIN_AFFECT_LIVE.rawValue) }
    }

    func number(of uuid: DomainUUID) throws -> Int32 {
        try DomainReader.withDomain(uuid, pointer) { Int32(bitPattern: virDomainGetID($0)) }
    }

    private func on(_ uuid: DomainUUID, _ call: (virDomainPtr) -> Int32) throws {
        try DomainReader.withDomain(uuid, pointer) {
            guard call($0) >= 0 else { throw LibvirtError.last("do that to \(uuid)") }
        }
    }

    private func identify(_ domain: virDomainPtr) throws -> DomainUUID {
        guard let uuid = DomainReader.uuid(domain) else { throw LibvirtError.last("identify") }
        return uuid
    }
}
