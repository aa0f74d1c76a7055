// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf

/// The pinned maps that all attachments share.
struct SharedMaps {
    let destinations: KernelObject
    let destinationCounters: KernelObject
    let destinationRates: KernelObject
    let tunnels: KernelObject
    let sequences: KernelObject
    let backlogs: KernelObject
    let hops: KernelObject
    let lastCopies: KernelObject

    /// The maps that every tap's program uses.
    private var ofEveryTap: [(KernelObject, MapLayout.Shape)] {
        [
            (destinations, MapLayout.destinations), (destinationCounters, MapLayout.destinationCounters),
            (destinationRates, MapLayout.destinationRates), (tunnels, MapLayout.tunnels), (backlogs, MapLayout.backlogs),
            (hops, MapLayout.hops),
        ]
    }

    /// The maps that a tap's program can use; the last only with `once`.
    var ofTaps: [(KernelObject, MapLayout.Shape)] { ofEveryTap + [(lastCopies, MapLayout.lastCopies)] }

    /// Opens the pinned maps.
    /// - Parameter create: whether to make maps that do not exist, or that another version of virt-tap laid out differently. Attached
    ///   programs keep copying with the former maps until they are replaced.
    /// - Returns: `nil` when a map is missing; with `create` also whether one was missing.
    static func open(_ pins: PinTree, create: Bool) throws -> (maps: SharedMaps, areNew: Bool)? {
        let kernel = pins.kernel
        var areNew = false
        func map(_ path: String, _ shape: MapLayout.Shape) throws -> KernelObject? {
            if let map = try kernel.open(path, CLIBBPF_MAP), try shape.fits(kernel.mapInfo(map)) { return map }
            guard create else { return nil }
            areNew = true
            let map = try shape.make(kernel)
            try pins.pin(map, at: path, kind: CLIBBPF_MAP, Undo())
            return map
        }
        if create { try pins.makeLayout() }
        guard let destinations = try map(pins.destinations, MapLayout.destinations),
            let destinationCounters = try map(pins.destinationCounters, MapLayout.destinationCounters),
            let destinationRates = try map(pins.destinationRates, MapLayout.destinationRates),
            let tunnels = try map(pins.tunnels, MapLayout.tunnels), let sequences = try map(pins.sequences, MapLayout.sequences),
            let backlogs = try map(pins.backlogs, MapLayout.backlogs),
            let hops = try map(pins.hops, MapLayout.hops), let lastCopies = try map(pins.lastCopies, MapLayout.lastCopies)
        else { return nil }
        let maps = SharedMaps(
            destinations: destinations, destinationCounters: destinationCounters, destinationRates: destinationRates,
            tunnels: tunnels, sequences: sequences, backlogs: backlogs, hops: hops, lastCopies: lastCopies)
        return (maps, areNew)
    }

    /// Makes new maps that are not pinned, to load programs without attaching them.
    init(unpinned kernel: Kernel) throws {
        self.init(
            destinations: try MapLayout.destinations.make(kernel), destinationCounters: try MapLayout.destinationCounters.make(kernel),
            destinationRates: try MapLayout.destinationRates.make(kernel), tunnels: try MapLayout.tunnels.make(kernel),
            sequences: try MapLayout.sequences.make(kernel), backlogs: try MapLayout.backlogs.make(kernel),
            hops: try MapLayout.hops.make(kernel),
            lastCopies: try MapLayout.lastCopies.make(kernel))
    }

    private init(
        destinations: KernelObject, destinationCounters: KernelObject, destinationRates: KernelObject, tunnels: KernelObject,
        sequences: KernelObject, backlogs: KernelObject, hops: KernelObject, lastCopies: KernelObject
    ) {
        self.destinations = destinations
        self.destinationCounters = destinationCounters
        self.destinationRates = destinationRates
        self.tunnels = tunnels
        self.sequences = sequences
        self.backlogs = backlogs
        self.hops = hops
        self.lastCopies = lastCopies
    }

    /// Reads the kernel's ids of the maps that the relay's programs use.
    func idsOfRelay(_ kernel: Kernel) throws -> Set<UInt32> {
        try Set([destinationCounters, tunnels, sequences, backlogs, hops].map { try kernel.mapInfo($0).id })
    }

    /// Reads the kernel's ids of the maps that every tap's program uses.
    func ids(_ kernel: Kernel) throws -> Set<UInt32> {
        try Set(ofEveryTap.map { try kernel.mapInfo($0.0).id })
    }
}
