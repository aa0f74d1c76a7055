// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// Puts hops in place when the first tap needs them, and takes them away with the last.
struct HopInstaller {
    private static let program = "virt_tap_hop"
    private static let elf = ProgramObject.decode(HopObject.base64)
    private static let priority: UInt32 = 1
    private static let handle: UInt32 = 1

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    /// Whether all hops are as this version makes them and work on these maps.
    func areWhole(_ maps: SharedMaps) throws -> Bool { try Hop.allCases.allSatisfy { try isWhole($0, maps) } }

    private func isWhole(_ hop: Hop, _ maps: SharedMaps) throws -> Bool {
        guard let device = try HopDevice(name: hop.device, kernel: kernel).find(), device.isUp,
            device.alias == HopDevice.alias(HopObject.build), try ifindex(hop, maps) == device.ifindex,
            let end = hop.programDevice == hop.device ? device : try HopDevice(name: hop.programDevice, kernel: kernel).find(), end.isUp,
            let program = try kernel.open(pins.hop(hop.pin), CLIBBPF_PROGRAM)
        else { return false }
        let wanted = try Set([maps.destinationCounters, maps.hops].map { try kernel.mapInfo($0).id })
        guard try wanted.isSubset(of: kernel.maps(of: program)) else { return false }
        let id = try program.programID()
        return try TrafficControl.filters(HookPoint(ifindex: end.ifindex, isEgress: hop.isProgramAtEgress), kernel)
            .contains { $0.priority == Self.priority && $0.handle == Self.handle && $0.program == id }
    }

    /// Makes what is missing; what is there and older is exchanged in place.
    func ensure(_ maps: SharedMaps) throws {
        for hop in Hop.allCases where try !isWhole(hop, maps) { try install(hop, maps) }
    }

    private func install(_ hop: Hop, _ maps: SharedMaps) throws {
        let device = HopDevice(name: hop.device, kernel: kernel)
        let end = HopDevice(name: hop.programDevice, kernel: kernel)
        for device in [device, end] {
            if let found = try device.find(), !found.isOurs, found.alias != nil || found.isUp { throw Self.taken(device.name) }
        }
        if try device.find() == nil { try device.make(peer: hop.programDevice == hop.device ? nil : hop.programDevice) }
        guard let found = try device.find(), let foundEnd = try end.find() else {
            throw KernelError(call: .changeDevice, number: ENODEV, subject: hop.device)
        }
        // Ours from now on, whatever fails next.
        if !found.isOurs { try device.call(found.ifindex, HopDevice.alias("unfinished")) }
        let object = try ProgramObject(Self.program, Self.elf, kernel)
        try object.set("hop_counts", UInt32(hop.counts ? 1 : 0))
        try object.use(maps.destinations, as: MapLayout.destinations)
        try object.use(maps.destinationCounters, as: MapLayout.destinationCounters)
        try object.use(maps.hops, as: MapLayout.hops)
        let program = try object.load()
        try pins.place(program, at: pins.hop(hop.pin), kind: CLIBBPF_PROGRAM, Undo())
        if try FilterQdisc.on(foundEnd.ifindex, kernel) == nil { try FilterQdisc.clsact.add(to: foundEnd.ifindex, kernel) }
        try kernel.check(.attachFilter, hop.programDevice) {
            clibbpf_filter_attach(
                CInt(foundEnd.ifindex), hop.isProgramAtEgress ? 1 : 0, Self.priority, Self.handle, program.descriptor, 1)
        }
        if hop == .segment { try device.endOffloads() }
        // The alias last: it says that all of this was done.
        if hop.programDevice != hop.device { try end.prepare(foundEnd.ifindex, alias: HopDevice.alias(HopObject.build)) }
        try device.prepare(found.ifindex, alias: HopDevice.alias(HopObject.build))
        try write(found.ifindex, hop, maps)
    }

    private static func taken(_ name: String) -> Failure {
        Failure(
            .attachFailed,
            "cutting copies needs a device called \(name), and one that is not virt-tap's has that name; rename or remove that one")
    }

    /// With nothing on its way.
    private func write(_ ifindex: UInt32, _ hop: Hop, _ maps: SharedMaps) throws {
        var value = [UInt8](repeating: 0, count: Int(MapLayout.hops.valueSize))
        value.withUnsafeMutableBytes { $0.storeBytes(of: ifindex, as: UInt32.self) }
        try kernel.write(value, to: maps.hops, at: hop.rawValue)
    }

    private func ifindex(_ hop: Hop, _ maps: SharedMaps) throws -> UInt32 {
        try kernel.read(maps.hops, at: hop.rawValue, size: Int(MapLayout.hops.valueSize)).withUnsafeBytes {
            $0.loadUnaligned(as: UInt32.self)
        }
    }

    /// Removes all of it; no error for what is not there.
    func remove() throws {
        let maps = try SharedMaps.open(pins, create: false)?.maps
        for hop in Hop.allCases {
            if let maps { try write(0, hop, maps) }
            let device = HopDevice(name: hop.device, kernel: kernel)
            // A veth's other end goes with it.
            if let found = try device.find(), found.isOurs { try device.remove(found.ifindex) }
            try kernel.unlink(pins.hop(hop.pin))
        }
    }
}
