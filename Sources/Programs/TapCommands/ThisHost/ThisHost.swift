// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Glibc
import Hypervisor
import TapModel
import TapXML

/// Looks at this host as far as whoever asks may.
struct ThisHost {
    var state: HostState
    /// What could not be found out, for people.
    var caveats: [String] = []

    init(_ configuration: HostConfiguration, bpffs: String) {
        let dataplane = KernelDataplane(bpffs: bpffs)
        var caveats: [String] = []
        var devices: [HostDevice] = []
        do throws(Failure) {
            devices = try dataplane.devices()
        } catch {
            caveats.append("this host's devices cannot be listed, so destinations are taken for absent: \(error.message.printable)")
        }
        var mechanism: Result<Mechanism, Failure>
        do throws(Failure) {
            mechanism = .success(try dataplane.mechanism(for: configuration.mechanism))
        } catch {
            mechanism = .failure(error)
            // Whoever may not attach can still ask what would be attached.
            if error.reason == .permissionDenied || error.reason == .bpffsNotMounted {
                mechanism = .success(configuration.mechanism == .clsact ? .clsact : .tcx)
                caveats.append("whether this kernel takes the programs was not tried: \(error.message.printable)")
            }
        }
        let table = DeviceTable(devices)
        // Whoever may not see the pins sees what the routes say.
        let specificRoutes = ((try? dataplane.specificRoutes()) ?? [:]).mapValues { table[$0]?.name ?? "a device that has gone" }
        state = HostState(
            configuration: configuration, devices: table, claims: DeviceClaims(),
            paths: UnderlayLookup.paths(for: configuration, dataplane), specificRoutes: specificRoutes, mechanism: mechanism)
        self.caveats = caveats
    }

    /// Finds out where the sensor VMs are that destinations name, if any do; needs libvirt's read-only socket.
    /// - Parameter connect: the URI that was asked for; `nil`: the configuration's.
    mutating func findSensors(connect: String?) async {
        guard SensorLookup.isNeeded(state.configuration) else { return }
        let uri = connect ?? state.configuration.libvirtURI
        // Another host's domains say nothing of this one's.
        guard EditOptions.isLocal(LibvirtURI.effective(uri)) else { return }
        do {
            let libvirt = try await LibvirtMetadataEditor(uri: uri, readOnly: true)
            try await SensorLookup(libvirt).complete(&state)
        } catch {
            Output.warn("where sensor VMs are was not found out: \("\(error)".printable)")
        }
    }
}

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

/// How packets get from here to the tunnels of a configuration, for commands, which look once.
enum UnderlayLookup {
    /// A next hop that nobody needed for a while is in no table, and is asked by looking: it may have answered the second time.
    private static let patience = Duration.milliseconds(500)

    /// Blocks its thread for half a second at most.
    static func paths(for configuration: HostConfiguration, _ dataplane: any TapDataplane) -> [UnderlayQuery: Result<UnderlayPath, Failure>]
    {
        let end = ContinuousClock.now + patience
        while true {
            let paths = dataplane.paths(for: configuration)
            let isWaiting = paths.values.contains { if case .success(let path) = $0 { path.nextHopMAC == nil } else { false } }
            guard isWaiting, ContinuousClock.now < end else { return paths }
            usleep(20_000)
        }
    }
}
