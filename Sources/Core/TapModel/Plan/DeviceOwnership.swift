// SPDX-License-Identifier: LGPL-2.1-or-later

/// Decides whether a netdev is the host side of a domain's interface: the only devices that are tapped.
///
/// It is what libvirt's live XML of the running domain (or the hook's, at its start) names, for a type of interface that has a device;
/// a tap or macvtap device; held open by somebody; and no other running domain names it. Its MAC address is no condition and no
/// evidence: udev, agents and OpenStack's drivers give tap devices others than libvirt's, and a trusted guest changes its macvtap's.
///
/// Once that was found it holds for as long as the device lives, whatever it is called and whoever else names it then
/// (`DeviceClaims.Proof`): its name, too, is only what it was found by.
public enum DeviceOwnership {
    /// A device that is an interface's.
    public struct Owned: Hashable, Sendable {
        public var device: HostDevice
        /// The guest's address, as the XML has it.
        public var mac: MACAddress
        /// What libvirt calls the device.
        public var name: String
        /// What it was like when it was proved.
        public var traits: DeviceTraits
    }

    /// The device of `interface`, or why it is not to be touched.
    ///
    /// - Parameter directory: for the name of another domain that has it.
    public static func device(
        of interface: DomainInterface, in domain: DomainUUID, devices: DeviceTable, claims: DeviceClaims,
        directory: DomainDirectory = DomainDirectory()
    ) -> Result<Owned, Failure> {
        guard interface.type.hasDevice else {
            return .failure(unsupported(interface))
        }
        guard let name = interface.device else {
            return .failure(
                Failure(.deviceGone, "libvirt names no device for this interface yet; it is looked at again at the domain's next event"))
        }
        guard let mac = interface.mac else {
            return .failure(
                Failure(.deviceNotOwned, "the interface has no MAC address, which libvirt gives every one: \(name) is left alone"))
        }
        if let proof = claims.proof(of: interface, in: domain), let device = devices[proof.ifindex], device.kind == proof.kind {
            return .success(Owned(device: device, mac: mac, name: name, traits: proof.traits))
        }
        guard let device = devices[name] else {
            return .failure(
                Failure(
                    .deviceGone,
                    "device \(name) is not there: the guest stops, its interface was removed, somebody gave the device another name before "
                        + "it was seen, or virt-tapd runs in another network namespace; it is tapped as soon as it appears"))
        }
        if let why = implausibility(of: device) { return .failure(notOwned(name, why)) }
        if let other = claims.others(than: domain, claiming: device).first {
            let its = directory[other].map { "\($0.name.printable) (UUID \(other))" } ?? "with UUID \(other)"
            let why =
                claims.owner(of: device.index) == other
                ? "it was found to be the device of the running domain \(its) before, which keeps it"
                : "the running domain \(its) names it as well, and two guests cannot have one device"
            return .failure(notOwned(name, why))
        }
        return .success(Owned(device: device, mac: mac, name: name, traits: DeviceTraits(device)))
    }

    /// Whether a device that copies for a domain went to, when the daemon before this one ran, is the domain's by another name: it is
    /// held, nobody names it or has it proved, and of all interfaces of all running domains that one alone has no device.
    ///
    /// - Parameter claims: of every running domain.
    public static func isFormer(
        _ device: HostDevice, of interface: DomainInterface, in domain: DomainUUID, devices: DeviceTable, claims: DeviceClaims
    ) -> Bool {
        guard implausibility(of: device) == nil, (device.kind == .macvtap) == (interface.type == .direct),
            claims.owner(of: device.index) == nil,
            claims.others(than: nil, claiming: device).isEmpty
        else { return false }
        let missing = claims.interfaces(missingIn: devices)
        return missing.count == 1 && missing[0].domain == domain && missing[0].interface == interface
    }

    /// Whether `device` can be the host side of `interface` by name and kind, whoever else names it.
    public static func isPlausible(_ device: HostDevice, for interface: DomainInterface) -> Bool {
        interface.type.hasDevice && interface.device == device.name && interface.mac != nil && implausibility(of: device) == nil
    }

    /// Why a device can be no guest's, or not at the moment.
    private static func implausibility(of device: HostDevice) -> String? {
        switch device.kind {
        case .tap: device.isHeld ? nil : "nobody holds it open, as QEMU does with a guest's"
        // Nobody tells whether its character device is open.
        case .macvtap: nil
        default: "it is \(describe(device.kind)), not the tap or macvtap device of a guest"
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
