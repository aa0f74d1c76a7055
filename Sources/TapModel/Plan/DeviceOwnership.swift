// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether a netdev is the host side of a domain's interface: the only devices that are tapped.
///
/// It is what libvirt's live XML of the running domain (or the hook's, at its start) names, for a type of interface that has a device;
/// a tap or macvtap device; held open by somebody; and no other running domain's. Its MAC address is no condition: udev, agents and
/// OpenStack's drivers give tap devices others than libvirt's, and a trusted guest changes its macvtap's. Where it is the one that
/// libvirt gives, that is evidence, and outweighs whoever else names the device.
public enum DeviceOwnership {
    /// How well a device fits an interface that names it.
    private enum Fit {
        /// It cannot be the interface's device, and why.
        case none(String)
        /// By kind, and somebody holds it.
        case kind
        /// By its address as well.
        case address
    }

    /// The device of `interface` and the guest's address, or why it is not to be touched.
    public static func device(
        of interface: DomainInterface, in domain: DomainUUID, devices: DeviceTable, claims: DeviceClaims
    ) -> Result<(device: HostDevice, mac: MACAddress), Failure> {
        guard interface.type.hasDevice else {
            return .failure(unsupported(interface))
        }
        guard let name = interface.device else {
            return .failure(
                Failure(.deviceGone, "libvirt names no device for this interface yet; it is looked at again at the domain's next event"))
        }
        guard let device = devices[name] else {
            return .failure(
                Failure(
                    .deviceGone,
                    "device \(name) is not there: the guest stops, its interface was removed, or virt-tapd runs in another network "
                        + "namespace; it is tapped as soon as it appears"))
        }
        guard let mac = interface.mac else {
            return .failure(
                Failure(.deviceNotOwned, "the interface has no MAC address, which libvirt gives every one: \(name) is left alone"))
        }
        let isByAddress: Bool
        switch fit(device, mac) {
        case .none(let why): return .failure(notOwned(name, why))
        case .kind: isByAddress = false
        case .address: isByAddress = true
        }
        if let other = claims.others(than: domain, claiming: device, isByAddress: isByAddress).first {
            return .failure(
                notOwned(name, "the running domain with UUID \(other) names it as well, and two guests cannot have one device"))
        }
        return .success((device, mac))
    }

    /// Whether `device` can be the host side of `interface` by name and kind, whoever else names it.
    public static func isPlausible(_ device: HostDevice, for interface: DomainInterface) -> Bool {
        guard interface.type.hasDevice, interface.device == device.name, let mac = interface.mac else { return false }
        if case .none = fit(device, mac) { return false }
        return true
    }

    /// Whether it has the address, too, that libvirt would give it for that guest.
    public static func isPlausibleByAddress(_ device: HostDevice, for interface: DomainInterface) -> Bool {
        guard isPlausible(device, for: interface), let mac = interface.mac, case .address = fit(device, mac) else { return false }
        return true
    }

    private static func fit(_ device: HostDevice, _ mac: MACAddress) -> Fit {
        switch device.kind {
        case .tap:
            if device.mac == mac.tapSide { return .address }
            // Of one that is down the carrier tells nothing.
            return device.isUp && !device.hasCarrier ? .none("it has no carrier, so nobody holds it open") : .kind
        case .macvtap:
            // Its carrier is that of the adapter below it.
            return device.mac == mac ? .address : .kind
        default:
            return .none("it is \(describe(device.kind)), not the tap or macvtap device of a guest")
        }
    }

    private static func notOwned(_ name: String, _ why: String) -> Failure {
        Failure(.deviceNotOwned, "\(name) is not this interface's device: \(why). It is left alone")
    }

    private static func describe(_ kind: HostDevice.Kind) -> String {
        switch kind {
        case .tap: "a tap device"
        case .tun: "a tun device without Ethernet headers"
        case .macvtap: "a macvtap device"
        case .bridge: "a bridge"
        case .loopback: "the loopback device"
        case .other(""): "a physical or paravirtual NIC"
        case .other(let kind): "a device of kind \(kind)"
        }
    }

    private static func unsupported(_ interface: DomainInterface) -> Failure {
        let hint =
            switch interface.type {
            case .hostdev:
                "its frames go from the adapter to the guest without passing the host's kernel; use the adapter's or the switch's own mirror port"
            case .vhostuser where interface.backend == "passt":
                "passt turns its frames into connections of the host, which has no device for it; use type network or bridge"
            case .vhostuser:
                "its frames go through shared memory to another process, mostly Open vSwitch with DPDK or VPP; use that switch's own mirror"
            case .vdpa:
                "its frames go from the adapter to the guest without passing the host's kernel; use the adapter's or the switch's own mirror port"
            case .user:
                "QEMU or passt turns its frames into connections of the host, which has no device for it; use type network or bridge"
            case .mcast, .udp, .server, .client:
                "QEMU carries its frames inside a socket of its own and the host has no device for it; use type network or bridge"
            case .other("null"): "it is connected to nothing; use type network or bridge"
            default: "virt-tap knows no host device for it; use type network or bridge"
            }
        return Failure(.interfaceTypeUnsupported, "interface type \(interface.type.text) cannot be tapped: \(hint)")
    }
}
