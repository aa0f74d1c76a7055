// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Glibc
import Hypervisor
import TapModel
import TapXML

/// The state of this host, as far as the user may read it.
struct ThisHost {
    var state: HostState
    /// What could not be read; for people.
    var caveats: [String] = []

    init(_ configuration: HostConfiguration, bpffs: String) {
        let dataplane = KernelDataplane(bpffs: bpffs)
        var caveats: [String] = []
        var devices: [HostDevice] = []
        do throws(Failure) {
            devices = try dataplane.devices()
        } catch {
            caveats.append("cannot list this host's devices, so destinations are reported as missing: \(error.message.printable)")
        }
        var mechanism: Result<Mechanism, Failure>
        do throws(Failure) {
            mechanism = .success(try dataplane.mechanism(for: configuration.mechanism))
        } catch {
            mechanism = .failure(error)
            // A user who may not attach programs can still ask what would be attached.
            if error.reason == .permissionDenied || error.reason == .bpffsNotMounted {
                mechanism = .success(configuration.mechanism == .clsact ? .clsact : .tcx)
                caveats.append("not tested whether this kernel can run the programs: \(error.message.printable)")
            }
        }
        let table = DeviceTable(devices)
        // A user who may not read the pins sees the routes only.
        let specificRoutes = ((try? dataplane.specificRoutes()) ?? [:]).mapValues { table[$0]?.name ?? "a device that is gone" }
        state = HostState(
            configuration: configuration, devices: table, claims: DeviceClaims(),
            paths: UnderlayLookup.paths(for: configuration, dataplane), specificRoutes: specificRoutes, mechanism: mechanism)
        self.caveats = caveats
    }

    /// Reads from libvirt where the sensor VMs of the destinations run, if there are any; needs libvirt's read-only socket.
    /// - Parameter connect: the URI on the command line; `nil`: the configuration's.
    mutating func readSensors(connect: String?) async {
        guard SensorLookup.isNeeded(state.configuration) else { return }
        let uri = connect ?? state.configuration.libvirtURI
        // A libvirt on another host does not know this host's domains.
        guard EditOptions.isLocal(LibvirtURI.effective(uri)) else { return }
        do {
            let libvirt = try await LibvirtMetadataEditor(uri: uri, readOnly: true)
            try await SensorLookup(libvirt).complete(&state)
        } catch {
            Output.warn("cannot read from libvirt where sensor VMs run: \("\(error)".printable)")
        }
    }
}

/// Asks libvirt about the sensor VMs of destinations, and about no other domain.
struct SensorLookup {
    /// Finds the domain with a name; `nil`: there is none.
    var byName: (String) async throws -> DomainSnapshot?
    /// Finds the domain with a UUID; `nil`: there is none.
    var byUUID: (DomainUUID) async throws -> DomainSnapshot?

    init(
        byName: @escaping (String) async throws -> DomainSnapshot?, byUUID: @escaping (DomainUUID) async throws -> DomainSnapshot?
    ) {
        self.byName = byName
        self.byUUID = byUUID
    }

    init(_ libvirt: LibvirtMetadataEditor) {
        self.init(byName: libvirt.domain(called:), byUUID: { try await libvirt.domain($0) })
    }

    /// Whether any destination is a sensor VM.
    /// - Parameter label: considers only the destination with this label; `nil`: all of them.
    static func isNeeded(_ configuration: HostConfiguration, for label: String? = nil) -> Bool {
        !sensors(configuration, for: label).isEmpty
    }

    /// Completes `host` with the sensor VMs and their devices.
    /// - Parameter label: considers only the destination with this label; `nil`: all of them.
    /// - Throws: if libvirt does not answer a question; `host` is then unchanged.
    func complete(_ host: inout HostState, for label: String? = nil) async throws {
        var (directory, claims) = (DomainDirectory(), DeviceClaims())
        for (name, uuid) in Self.sensors(host.configuration, for: label) {
            // A name and a UUID may belong to two domains, which the evaluation reports.
            var found: [DomainSnapshot] = []
            if let uuid, let domain = try await byUUID(uuid) { found.append(domain) }
            if let name, let domain = try await byName(name) { found.append(domain) }
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

/// Reads the underlay paths of a configuration's tunnels for commands, which do not follow changes as virt-tapd does.
enum UnderlayLookup {
    /// How long to wait for a next hop that is not in the neighbour table: reading the path makes the kernel ask for it.
    private static let timeout = Duration.milliseconds(500)

    /// The path or failure for each query of the configuration. Blocks its thread for half a second at most.
    static func paths(for configuration: HostConfiguration, _ dataplane: any TapDataplane) -> [UnderlayQuery: Result<UnderlayPath, Failure>]
    {
        let end = ContinuousClock.now + timeout
        while true {
            let paths = dataplane.paths(for: configuration)
            let isWaiting = paths.values.contains { if case .success(let path) = $0 { path.nextHopMAC == nil } else { false } }
            guard isWaiting, ContinuousClock.now < end else { return paths }
            usleep(20_000)
        }
    }
}
