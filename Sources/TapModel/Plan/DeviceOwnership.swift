// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether a netdev is provably the host side of a domain's interface: the only devices that are tapped.
public enum DeviceOwnership {
    /// The device of `interface` and the guest's address that proves it, or why it is not to be touched.
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
            return .failure(Failure(.deviceNotOwned, "the interface has no MAC address, so nothing proves that \(name) is its device"))
        }
        if let why = mismatch(device, of: mac) { return .failure(notOwned(name, why + remedy(device, for: interface, mac))) }
        if let other = claims.others(than: domain, claiming: device).first {
            return .failure(
                notOwned(
                    name,
                    "the running domain with UUID \(other) names it as well, with the same MAC address; give the guests different ones"))
        }
        return .success((device, mac))
    }

    /// Whether `device` can be the host side of `interface` by name, kind and address, whoever else names it.
    public static func isPlausible(_ device: HostDevice, for interface: DomainInterface) -> Bool {
        guard interface.type.hasDevice, interface.device == device.name, let mac = interface.mac else { return false }
        return mismatch(device, of: mac) == nil
    }

    /// Why `device` cannot be the host side of a guest's interface with the address `mac`; `nil`: it can.
    private static func mismatch(_ device: HostDevice, of mac: MACAddress) -> String? {
        let address = device.mac?.description ?? "unknown"
        switch device.kind {
        case .tap:
            if device.mac == mac.tapSide { return nil }
            return "its address is \(address) and the guest's \(mac): libvirt's own differ in the first byte only, FE"
        case .macvtap:
            return device.mac == mac ? nil : "it is a macvtap with address \(address), not the guest's \(mac)"
        default:
            return "it is \(describe(device.kind)), not the tap or macvtap device of a guest"
        }
    }

    /// What to do where nobody but the user can: libvirt leaves a device of `managed="no"` the address that it was made with.
    private static func remedy(_ device: HostDevice, for interface: DomainInterface, _ mac: MACAddress) -> String {
        guard interface.type == .ethernet, device.kind == .tap || device.kind == .macvtap else { return "" }
        let wanted = device.kind == .tap ? mac.tapSide : mac
        return "; if it was made for this guest (managed=\"no\"), say so: ip link set \(device.name) address \(wanted)"
    }

    private static func notOwned(_ name: String, _ why: String) -> Failure {
        Failure(.deviceNotOwned, "\(name) is not provably this interface's device: \(why). It is left alone")
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
