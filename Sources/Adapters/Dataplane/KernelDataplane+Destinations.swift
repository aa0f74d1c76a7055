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
        try reporting("looking what the destinations' devices take") { try openDestinationTable()?.refreshOffloads() }
    }

    public func destinations() throws(Failure) -> [DestinationRecord] {
        try reporting("reading the destinations") { try openDestinationTable()?.records() ?? [] }
    }

    public func forgetDestination(_ label: String) throws(Failure) {
        try reporting("destination \"\(label)\"") {
            for id in try pins.attachmentIDs() {
                if let spec = try specs.read(id), spec.options.destination == label {
                    throw Failure(.attachFailed, "it is still used by tap \"\(spec.key.tap)\" of \(spec.domainName)")
                }
            }
            try openDestinationTable()?.forget(label)
        }
    }

    func openDestinationTable() throws -> DestinationTable? {
        try SharedMaps.open(pins, create: false).map { DestinationTable(maps: $0.maps, kernel: kernel) }
    }
}

/// How copies get to another machine.
extension KernelDataplane {
    public func path(for query: UnderlayQuery) throws(Failure) -> UnderlayPath {
        try reporting("looking for the way to \(IPAddress.text(query.remote))", needsPins: false) {
            let table = RouteTable(kernel: kernel)
            let path = try table.path(for: query)
            // Whoever may not ask may still look.
            if path.nextHopMAC == nil { try? table.probeNextHop(of: path) }
            return path
        }
    }

    public func specificRoutes() throws(Failure) -> [[UInt8]: UInt32] {
        try reporting("reading which ways copies took") { try openDestinationTable()?.specificRoutes() ?? [:] }
    }

    public func refreshClock() throws(Failure) { try refreshClock(offset: TunnelEntry.clockOffset()) }

    /// - Parameter offset: what the monotonic clock lacks of the real one, in nanoseconds.
    func refreshClock(offset: UInt64) throws(Failure) {
        try reporting("setting the time of ERSPAN's headers") { try openDestinationTable()?.refreshClock(offset: offset) }
    }

    public func confirmNextHop(_ path: UnderlayPath) throws(Failure) {
        try reporting("asking for \(IPAddress.text(path.nextHop)) on \(path.device)", needsPins: false) {
            try RouteTable(kernel: kernel).probeNextHop(of: path)
        }
    }
}

/// Monitor ports.
extension KernelDataplane {
    public func installPort(_ spec: MonitorPort.Spec, known: MonitorPort? = nil) throws(Failure) -> MonitorPort {
        // Whether bpffs is there is looked at with the rest.
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
