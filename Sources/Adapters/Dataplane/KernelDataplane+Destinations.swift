// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The destinations that all attachments share.
extension KernelDataplane {
    @discardableResult
    public func setDestination(_ label: String, _ route: DestinationRoute) throws(Failure) -> Bool {
        try reporting("destination \"\(label)\"") {
            try makeLayout()
            guard let (maps, areNew) = try SharedMaps.open(pins, create: true) else { return false }
            try DestinationTable(maps: maps, kernel: kernel).set(label, route)
            return areNew
        }
    }

    public func refreshOffloads() throws(Failure) {
        try reporting("reading the offloads of the destinations' devices") { try openDestinationTable()?.refreshOffloads() }
    }

    public func destinations() throws(Failure) -> [DestinationRecord] {
        try reporting("reading the destinations") { try openDestinationTable()?.records() ?? [] }
    }

    public func forgetDestination(_ label: String) throws(Failure) {
        try reporting("destination \"\(label)\"") {
            for id in try pins.attachmentIDs() {
                if let spec = try specs.read(id), spec.options.destination == label {
                    throw Failure(.attachFailed, "tap \"\(spec.key.tap)\" of \(spec.domainName) still uses it")
                }
            }
            try openDestinationTable()?.forget(label)
        }
    }

    func openDestinationTable() throws -> DestinationTable? {
        try SharedMaps.open(pins, create: false).map { DestinationTable(maps: $0.maps, kernel: kernel) }
    }
}

/// The paths by which copies get to other machines.
extension KernelDataplane {
    public func path(for query: UnderlayQuery) throws(Failure) -> UnderlayPath {
        try reporting("reading the path to \(IPAddress.text(query.remote))", needsPins: false) {
            let table = RouteTable(kernel: kernel)
            let path = try table.path(for: query)
            // A process without CAP_NET_ADMIN may read the path, but not have the next hop resolved.
            if path.nextHopMAC == nil { try? table.probeNextHop(of: path) }
            return path
        }
    }

    public func specificRoutes() throws(Failure) -> [[UInt8]: UInt32] {
        try reporting("reading the paths of copies") { try openDestinationTable()?.specificRoutes() ?? [:] }
    }

    public func refreshClock() throws(Failure) { try refreshClock(offset: TunnelEntry.clockOffset()) }

    /// - Parameter offset: real-time clock minus monotonic clock, in nanoseconds.
    func refreshClock(offset: UInt64) throws(Failure) {
        try reporting("setting the time of ERSPAN's headers") { try openDestinationTable()?.refreshClock(offset: offset) }
    }

    public func confirmNextHop(_ path: UnderlayPath) throws(Failure) {
        try reporting("resolving next hop \(IPAddress.text(path.nextHop)) on \(path.device)", needsPins: false) {
            try RouteTable(kernel: kernel).probeNextHop(of: path)
        }
    }
}

/// Monitor ports.
extension KernelDataplane {
    public func installPort(_ spec: MonitorPort.Spec, known: MonitorPort? = nil) throws(Failure) -> MonitorPort {
        // The installer checks bpffs itself.
        try reporting("monitor port \(spec.name)", needsPins: false) {
            try ports.installOrUpdate(spec, known: known)
        }
    }

    public func removePorts(but names: Set<String>) throws(Failure) -> [String] {
        try reporting("removing monitor ports") {
            let removed = try ports.remove(but: names)
            try ports.removeDeadPins()
            return removed
        }
    }
}
