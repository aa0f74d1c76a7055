// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import TapModel
import TapXML

/// Asks libvirt for the sensor VMs that destinations name, and for no other domain.
struct SensorLookup {
    /// Finds the domain of just this name; `nil`: there is none.
    var named: (String) async throws -> DomainSnapshot?
    /// The same by UUID.
    var identified: (DomainUUID) async throws -> DomainSnapshot?

    init(
        named: @escaping (String) async throws -> DomainSnapshot?, identified: @escaping (DomainUUID) async throws -> DomainSnapshot?
    ) {
        self.named = named
        self.identified = identified
    }

    init(_ libvirt: LibvirtMetadataEditor) {
        self.init(named: libvirt.domain(called:), identified: { try await libvirt.domain($0) })
    }

    /// Whether there is anything to ask.
    /// - Parameter label: of the one destination that counts; `nil`: all do.
    static func isNeeded(_ configuration: HostConfiguration, for label: String? = nil) -> Bool {
        !sensors(configuration, for: label).isEmpty
    }

    /// Fills in what `host` knows of its domains.
    /// - Throws: when libvirt does not answer, or not about one of them; then nothing is known.
    func complete(_ host: inout HostState, for label: String? = nil) async throws {
        var (directory, claims) = (DomainDirectory(), DeviceClaims())
        for (name, uuid) in Self.sensors(host.configuration, for: label) {
            // Of name and UUID one may be another domain's, which is worth saying.
            var found: [DomainSnapshot] = []
            if let uuid, let domain = try await identified(uuid) { found.append(domain) }
            if let name, let domain = try await named(name) { found.append(domain) }
            for domain in found {
                let live = domain.isRunning ? try? DomainXML.read(domain.liveXML).domain : nil
                directory[domain.uuid] = DomainDirectory.Entry(domain, interfaces: live?.interfaces)
                if let live { claims.set(live.interfaces, of: domain.uuid) }
            }
        }
        directory.isComplete = true
        host.directory = directory
        host.claims = claims
    }

    private static func sensors(_ configuration: HostConfiguration, for label: String?) -> [(name: String?, uuid: DomainUUID?)] {
        configuration.destinations.compactMap { destination in
            guard label == nil || destination.name.text == label, case .domain(let name, let uuid, _, _) = destination.target else {
                return nil
            }
            return (name, uuid)
        }
    }
}
