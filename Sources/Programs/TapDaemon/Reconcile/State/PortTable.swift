// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The monitor ports of the configuration as they were found or made last, and how often somebody else removed one, or what keeps it apart
/// from the host. Times are seconds of a clock that does not jump.
struct PortTable {
    private(set) var ports: [String: Result<MonitorPort, Failure>] = [:]
    /// How often somebody removed what keeps a port apart from the host.
    private var guards = RemovalHistory<String>()
    /// How often somebody removed a port.
    private var removals = RemovalHistory<String>()
    /// When those that could not be had were tried last.
    private var failed: [String: Double] = [:]
    /// Counts changes that a plan depends on.
    private(set) var generation = 0

    /// Seconds between two attempts at one that could not be had.
    static let retryInterval: Double = 10

    subscript(name: String) -> Result<MonitorPort, Failure>? { ports[name] }

    /// Replaces all of them by what was found now.
    /// - Parameter isChanged: whether a port was made or mended in the kernel, which counts as a change also if it looks as before.
    /// - Returns: whether one changed.
    mutating func replace(_ found: [String: Result<MonitorPort, Failure>], isChanged: Bool) -> Bool {
        guard isChanged || found != ports else { return false }
        ports = found
        generation += 1
        return true
    }

    /// Forgets them: all were removed.
    mutating func purge() { ports = [:] }

    /// Whether a port is to be read: one that could not be had is tried again every ten seconds. That a name is free, or bpffs is
    /// there, costs nothing to find out.
    func isDue(_ name: String, at now: Double) -> Bool {
        guard case .failure(let failure)? = ports[name], let last = failed[name] else { return true }
        let isCheap = [.destinationUnsafe, .detachedRepeatedly, .bpffsNotMounted].contains(failure.reason)
        return isCheap || now - last >= Self.retryInterval
    }

    /// Notes that one could not be had.
    mutating func failed(_ name: String, at now: Double) { failed[name] = now }

    /// Has all of them tried again at once.
    mutating func retryAll() { failed = [:] }

    // MARK: What others remove

    /// Whether there is no end of ours, whatever it is called.
    func isGone(_ name: String, in devices: DeviceTable) -> Bool {
        if case .success(let port)? = ports[name] { devices[port.ifindex] == nil } else { devices[MonitorPort.device(of: name)] == nil }
    }

    /// Whether one is missing that was there: a device of ours has gone, or the sensors' end has come back from another network namespace
    /// without its filters.
    func isAnyMissing(in devices: DeviceTable) -> Bool {
        ports.contains { name, port in
            guard case .success(let known) = port else { return false }
            if known.listener == nil, devices[known.ifindex]?.isLinkElsewhere == false { return true }
            return isGone(name, in: devices)
        }
    }

    /// Whoever removes a port again and again finds it made again every ten minutes: making it costs the host more than removing it.
    /// - Returns: whether it was found removed, which is then counted.
    /// - Throws: `detached-repeatedly` when it is not to be made now.
    mutating func requireNoFight(_ name: String, in devices: DeviceTable, at now: Double) throws(Failure) -> Bool {
        // Until they are put back, copies get to the host: rather none than those of each interval.
        guard guards.mayRestore(name, at: now) else {
            throw Failure(
                .detachedRepeatedly,
                "monitor port \(name): something on this host again and again removes what keeps copies from the host's own network, or "
                    + "puts a program before it; no copies are sent for \(Int(RemovalHistory<String>.window / 60)) minutes. Find what "
                    + "changes tc filters and programs of devices that it does not know")
        }
        guard isGone(name, in: devices) else { return false }
        if case .success? = ports[name] { removals.removed(name, at: now) }
        guard removals.mayRestore(name, at: now) else {
            throw Failure(
                .detachedRepeatedly,
                "monitor port \(name): something on this host removes it again and again; it is made again every "
                    + "\(Int(RemovalHistory<String>.window / 60)) minutes. Find what deletes devices that it does not know")
        }
        removals.restored(name, at: now)
        return true
    }

    /// Counts what a port that was kept shows of others.
    /// - Parameter wasGone: what `requireNoFight` returned.
    mutating func countRemovals(_ name: String, _ port: MonitorPort, wasGone: Bool, at now: Double) {
        if case .made = port.change, case .success? = ports[name], !wasGone {
            // It was removed after the devices were read.
            removals.removed(name, at: now)
            removals.restored(name, at: now)
        }
        if case .guarded = port.change {
            guards.removed(name, at: now)
            guards.restored(name, at: now)
        }
    }
}
