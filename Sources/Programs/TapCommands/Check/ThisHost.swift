// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Hypervisor
import TapModel

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
