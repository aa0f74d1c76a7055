// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// How copies get to another machine.
extension KernelDataplane {
    public func path(for query: UnderlayQuery) throws(Failure) -> UnderlayPath {
        try reporting("looking for the way to \(IPAddress.text(query.remote))", needsPins: false) {
            let table = RouteTable(kernel: kernel)
            let path = try table.path(for: query)
            // Whoever may not ask may still look.
            if path.nextHopMAC == nil { try? table.ask(path) }
            return path
        }
    }

    public func specificRoutes() throws(Failure) -> [[UInt8]: UInt32] {
        try reporting("reading which ways copies took") { try destinationTable()?.specificRoutes() ?? [:] }
    }

    public func refreshClock() throws(Failure) { try refreshClock(offset: TunnelEntry.clockOffset()) }

    /// - Parameter offset: what the monotonic clock lacks of the real one, in nanoseconds.
    func refreshClock(offset: UInt64) throws(Failure) {
        try reporting("setting the time of ERSPAN's headers") { try destinationTable()?.refreshClock(offset: offset) }
    }

    public func confirmNextHop(_ path: UnderlayPath) throws(Failure) {
        try reporting("asking for \(IPAddress.text(path.nextHop)) on \(path.device)", needsPins: false) {
            try RouteTable(kernel: kernel).ask(path)
        }
    }
}
