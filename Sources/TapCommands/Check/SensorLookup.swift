// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import TapModel
import TapXML

/// Asks libvirt for the sensor VMs that a host's destinations name, and for no other domain.
struct SensorLookup {
    /// Finds a domain as an operator names it.
    /// - Throws: `MetadataEditError.noSuchDomain` where there is none.
    var domain: (String) async throws -> DomainSnapshot

    /// Whether there is anything to ask.
    static func isNeeded(_ configuration: HostConfiguration) -> Bool {
        configuration.destinations.contains { if case .domain = $0.target { true } else { false } }
    }

    /// Fills in what `host` knows of its domains.
    /// - Throws: when libvirt does not answer; then nothing is known.
    func complete(_ host: inout HostState) async throws {
        var (directory, claims) = (DomainDirectory(), DeviceClaims())
        for case .domain(let name, let uuid, _, _) in host.configuration.destinations.map(\.target) {
            // Of name and UUID one may be another domain's, which is worth saying.
            for wanted in [uuid?.description, name].compactMap({ $0 }) {
                guard let found = try await find(wanted), found.uuid == uuid || found.name == name else { continue }
                let live = found.isRunning ? try? DomainXML.read(found.liveXML).domain : nil
                directory[found.uuid] = DomainDirectory.Entry(
                    name: found.name, interfaces: live?.interfaces, hasMigratedAway: found.hasMigratedAway)
                if let live { claims.set(live.interfaces, of: found.uuid) }
            }
        }
        directory.isComplete = true
        host.directory = directory
        host.claims = claims
    }

    private func find(_ name: String) async throws -> DomainSnapshot? {
        do {
            return try await domain(name)
        } catch MetadataEditError.noSuchDomain {
            return nil
        }
    }
}
