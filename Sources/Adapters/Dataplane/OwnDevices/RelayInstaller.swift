// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// Installs the relay when the first tap needs it, and removes it with the last.
struct RelayInstaller {
    private static let elf = ProgramObject.decode(RelayObject.base64)
    private static let priority: UInt32 = 1
    private static let handle: UInt32 = 1

    let pins: PinTree
    var kernel: Kernel { pins.kernel }

    /// Reads whether the relay is as this version installs it and works on these maps.
    func isInstalled(with maps: SharedMaps) throws -> Bool {
        let departure = OwnDevice(.departure, kernel)
        let arrival = OwnDevice(.arrival, kernel)
        guard let observedDeparture = try departure.read(), let observedArrival = try arrival.read(),
            observedDeparture.peer == observedArrival.ifindex, try readDeparture(maps) == observedDeparture.ifindex
        else { return false }
        guard try isInstalled(.departure, observedDeparture, maps), try isInstalled(.arrival, observedArrival, maps) else { return false }
        // With offloads on, a GSO packet would arrive whole.
        return try !departure.hasOffloads()
    }

    private func isInstalled(_ end: RelayEnd, _ device: OwnDevice.Observed, _ maps: SharedMaps) throws -> Bool {
        guard device.isUp, device.alias == OwnDevice.alias(RelayObject.build),
            let program = try kernel.open(pins.relay(end), CLIBBPF_PROGRAM),
            try maps.idsOfRelay(kernel).isSubset(of: kernel.maps(of: program))
        else { return false }
        let id = try program.programID()
        return try TrafficControl.readFilters(HookPoint(ifindex: device.ifindex, isEgress: end.isProgramAtEgress), kernel)
            .contains { $0.priority == Self.priority && $0.handle == Self.handle && $0.program == id }
    }

    /// Installs what is missing, and replaces programs of an older version in place.
    func installIfNeeded(_ maps: SharedMaps) throws {
        if try !isInstalled(with: maps) { try install(maps) }
    }

    private func install(_ maps: SharedMaps) throws {
        let (departure, arrival) = try createDevices()
        let sums = try MapLayout.sums.make(kernel)
        // Arrival before departure: the first copy that is sent finds the other end complete.
        for (end, ifindex) in [(RelayEnd.arrival, arrival), (.departure, departure)] { try attach(end, ifindex, sums, maps) }
        let device = OwnDevice(.departure, kernel)
        try device.disableOffloads()
        // The alias comes last: it says that all of this was done.
        try OwnDevice(.arrival, kernel).prepare(arrival, alias: OwnDevice.alias(RelayObject.build))
        try device.prepare(departure, alias: OwnDevice.alias(RelayObject.build))
        try writeDeparture(departure, maps)
    }

    /// Reads or creates the veth pair. Both ends carry our alias afterwards, whatever fails next.
    /// - Returns: the ifindexes.
    private func createDevices() throws -> (departure: UInt32, arrival: UInt32) {
        func ends() throws -> [OwnDevice.Observed?] { try RelayEnd.allCases.map { try OwnDevice($0, kernel).read() } }
        var found = try ends()
        for (device, end) in zip(found, RelayEnd.allCases) where device?.mayBeOurs == false { throw Self.nameConflict(end.device) }
        if found[0] == nil || found[0]?.peer != found[1]?.ifindex {
            // One end is missing, renamed or moved. Removing an end of a veth pair removes both.
            for (device, end) in zip(found, RelayEnd.allCases) { if let device { try OwnDevice(end, kernel).remove(device.ifindex) } }
            try OwnDevice(.departure, kernel).create(peer: RelayEnd.arrival.device)
            found = try ends()
        }
        guard let departure = found[0], let arrival = found[1] else {
            throw KernelError(call: .changeDevice, number: ENODEV, subject: RelayEnd.departure.device)
        }
        for (device, end) in [(departure, RelayEnd.departure), (arrival, .arrival)] where !device.isOurs {
            try OwnDevice(end, kernel).setAlias(OwnDevice.alias("unfinished"), of: device.ifindex)
        }
        return (departure.ifindex, arrival.ifindex)
    }

    /// Loads the program of one end, and attaches nothing.
    static func load(_ end: RelayEnd, _ sums: KernelObject, _ maps: SharedMaps, _ kernel: Kernel) throws -> KernelObject {
        let object = try ProgramObject(end.program, elf, kernel)
        try object.use(maps.destinationCounters, as: MapLayout.destinationCounters)
        try object.use(maps.tunnels, as: MapLayout.tunnels)
        try object.use(maps.sequences, as: MapLayout.sequences)
        try object.use(maps.hops, as: MapLayout.hops)
        try object.use(maps.backlogs, as: MapLayout.backlogs)
        try object.use(sums, as: MapLayout.sums)
        return try object.load()
    }

    private func attach(_ end: RelayEnd, _ ifindex: UInt32, _ sums: KernelObject, _ maps: SharedMaps) throws {
        let program = try Self.load(end, sums, maps, kernel)
        try pins.pin(program, at: pins.relay(end), kind: CLIBBPF_PROGRAM, Undo())
        if try FilterQdisc.read(ifindex, kernel) == nil { try FilterQdisc.clsact.add(to: ifindex, kernel) }
        try kernel.check(.attachFilter, end.device) {
            clibbpf_filter_attach(CInt(ifindex), end.isProgramAtEgress ? 1 : 0, Self.priority, Self.handle, program.descriptor, 1)
        }
    }

    private static func nameConflict(_ name: String) -> Failure {
        Failure(
            .attachFailed,
            "copies with snaplen, mtu or a tunnel need the relay, and its device \(name) cannot be made: a device of that name exists and "
                + "is not virt-tap's; rename or remove it")
    }

    /// Writes the ifindex of the departure, to which taps send copies that need the relay; 0: none.
    private func writeDeparture(_ ifindex: UInt32, _ maps: SharedMaps) throws {
        try kernel.write(withUnsafeBytes(of: ifindex) { [UInt8]($0) }, to: maps.hops, at: 0)
    }

    private func readDeparture(_ maps: SharedMaps) throws -> UInt32 {
        try kernel.read(maps.hops, at: 0, size: Int(MapLayout.hops.valueSize)).withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
    }

    /// Whether any device or pin of the relay exists. Costs a few system calls.
    func exists() -> Bool { RelayEnd.allCases.contains { if_nametoindex($0.device) != 0 || pins.exists(pins.relay($0)) } }

    /// Removes the devices and the pins. What does not exist is no error.
    func remove() throws {
        if let maps = try SharedMaps.open(pins, create: false)?.maps { try writeDeparture(0, maps) }
        for end in RelayEnd.allCases {
            let device = OwnDevice(end, kernel)
            // The other end of the veth pair is removed with it.
            if let found = try device.read(), found.isOurs { try device.remove(found.ifindex) }
            try kernel.unlink(pins.relay(end))
        }
    }
}

/// An end of the relay: our veth pair on which copies are truncated, encapsulated or have their offloads resolved, before they go on to
/// their destination. A tap's program cannot do so itself: a clone shares the bytes of the original, which must not change.
enum RelayEnd: CaseIterable {
    /// The device to which taps send copies. Its program runs at egress, in the same call, so that the tap's program learns of errors.
    case departure
    /// The device at which copies arrive with their offloads resolved: the kernel segments GSO packets and fills in checksums
    /// between the two ends, since the departure has no offloads.
    case arrival

    var device: String {
        switch self {
        case .departure: "\(HostDevice.ownPrefix)cut"
        case .arrival: "\(HostDevice.ownPrefix)cut-in"
        }
    }

    /// The name of its program in bpf/relay.bpf.c.
    var program: String {
        switch self {
        case .departure: "virt_tap_depart"
        case .arrival: "virt_tap_arrive"
        }
    }

    /// The name of the pin of its program, after `hop-`.
    var pin: String {
        switch self {
        case .departure: "departure"
        case .arrival: "arrival"
        }
    }

    var isProgramAtEgress: Bool { self == .departure }
}
