// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import TapModel
import TapXML

/// Where metadata is read and written: libvirt, or a stand-in in tests.
protocol MetadataStore {
    func domain(named name: String) async throws -> DomainSnapshot
    func setMetadata(_ xml: String?, of uuid: DomainUUID, live: Bool, config: Bool) async throws
}

extension LibvirtMetadataEditor: MetadataStore {
    func setMetadata(_ xml: String?, of uuid: DomainUUID, live: Bool, config: Bool) async throws {
        try await setMetadata(xml, of: uuid, uri: MetadataXML.namespace, key: "tap", live: live, config: config)
    }
}
