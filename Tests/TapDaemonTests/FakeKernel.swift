// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapModel

/// A kernel that remembers what it was asked to do.
final class FakeKernel: TapDataplane, Sendable {
    struct State {
        var devices: [HostDevice] = []
        /// How often all of them were read.
        var deviceReads = 0
        var attachments: [AttachmentID: ObservedAttachment] = [:]
        var destinations: [String: DestinationRecord] = [:]
        var counters: [AttachmentID: [Direction: DirectionCounters]] = [:]
        /// How often the clock was looked at.
        var clockLooks = 0
        /// Next hops that were asked, in order.
        var confirmed: [[UInt8]] = []
        /// Every change in order: "attach web1/ids", "replace …", "detach …".
        var changes: [String] = []
        /// What the next calls of attach or replace fail with, each once.
        var failures: [Failure] = []
        /// Of the last program that was refused.
        var verifierLog: String?
        /// Called at each look at one attachment.
        var whenLooked: @Sendable () -> Void = {}
        /// What every call fails with as long as it stands.
        var trouble: Failure?
        var testFrameOutcome: Result<TestFrameOutcome, Failure> = .success(TestFrameOutcome(fate: .copied))
        /// By remote address.
        var paths: [[UInt8]: Result<UnderlayPath, Failure>] = [:]
        /// What the pinned tunnels' headers say of destinations that are not listed here.
        var specificRoutes: [[UInt8]: UInt32] = [:]
        /// The same of those that are, by label.
        var keptWays: [String: SpecificRoute] = [:]
        /// What monitor ports fail with as long as it stands.
        var portTrouble: Failure?
        /// How many looks find that somebody took away what keeps a port apart.
        var portGuardsTaken = 0
        /// What looking at them fails with as long as it stands.
        var portsUnseen: Failure?
        /// Every look at one that ended well, in order.
        var marksOfPorts: [String: [[PacketMark]]] = [:]
        /// How often one was asked for.
        var portTries = 0
        /// What reading that fails with as long as it stands.
        var waysTrouble: Failure?
    }

    let state = Mutex(State())
    var lastVerifierLog: String? { state.withLock { $0.verifierLog } }

    func lock() throws(Failure) {}

    func mechanism(for choice: MechanismChoice) throws(Failure) -> Mechanism {
        if let trouble = state.withLock({ $0.trouble }) { throw trouble }
        return .tcx
    }

    func devices() throws(Failure) -> [HostDevice] {
        state.withLock { state in
            state.deviceReads += 1
            return state.devices
        }
    }

    func device(named name: String) throws(Failure) -> HostDevice? { state.withLock { $0.devices.first { $0.name == name } } }

    func attachments() throws(Failure) -> [ObservedAttachment] {
        if let trouble = state.withLock({ $0.trouble }) { throw trouble }
        return state.withLock { state in state.attachments.values.map { Self.now($0, state.devices) } }
    }

    func attachment(_ id: AttachmentID) throws(Failure) -> ObservedAttachment? {
        state.withLock { $0.whenLooked }()
        if let trouble = state.withLock({ $0.trouble }) { throw trouble }
        return state.withLock { state in state.attachments[id].map { Self.now($0, state.devices) } }
    }

    func isUndisturbed(_ attachment: ObservedAttachment) throws(Failure) -> Bool {
        try self.attachment(attachment.id)?.hooks == attachment.hooks
    }

    func attach(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure) {
        try change("attach", desired)
        state.withLock { $0.attachments[desired.key.id] = Self.observed(desired, since: now) }
    }

    func replace(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure) {
        try change("replace", desired)
        state.withLock {
            let since = $0.attachments[desired.key.id]?.spec?.since ?? now
            $0.attachments[desired.key.id] = Self.observed(desired, since: since)
        }
    }

    func detach(_ id: AttachmentID) throws(Failure) {
        if let trouble = state.withLock({ $0.trouble }) { throw trouble }
        state.withLock { state in
            let spec = state.attachments.removeValue(forKey: id)?.spec
            state.changes.append("detach \(spec.map { "\($0.domainName)/\($0.key.tap)" } ?? "nothing")")
        }
    }

    func setDestination(_ label: String, _ route: DestinationRoute) throws(Failure) -> Bool {
        if let trouble = state.withLock({ $0.trouble }) { throw trouble }
        return state.withLock {
            $0.destinations[label, default: DestinationRecord(label: label, kind: route.kind, ifindex: 0)].ifindex = route.ifindex
            $0.destinations[label]?.kind = route.kind
            if let tunnel = route.tunnel {
                $0.keptWays[label] = tunnel.isSpecificRoute ? Self.specificRoute(tunnel) : nil
            } else if let way = route.specificRoute {
                $0.keptWays[label] = way
            }
            $0.changes.append("destination \(label) \(route.ifindex)")
            return false
        }
    }

    func path(for query: UnderlayQuery) throws(Failure) -> UnderlayPath {
        try (state.withLock { $0.paths[query.remote] } ?? .failure(Failure(.neighbourUnreachable, "no route"))).get()
    }

    func specificRoutes() throws(Failure) -> [[UInt8]: UInt32] {
        if let trouble = state.withLock({ $0.trouble ?? $0.waysTrouble }) { throw trouble }
        return state.withLock { state in
            state.keptWays.values.reduce(into: state.specificRoutes) { $0[$1.remote] = $1.ifindex }
        }
    }

    private static func specificRoute(_ tunnel: TunnelHeader) -> SpecificRoute {
        SpecificRoute(remote: Array(tunnel.bytes[tunnel.isIPv6 ? 38..<54 : 30..<34]), ifindex: tunnel.ifindex)
    }

    func refreshOffloads() throws(Failure) {}

    func refreshClock() throws(Failure) { state.withLock { $0.clockLooks += 1 } }

    func confirmNextHop(_ path: UnderlayPath) throws(Failure) { state.withLock { $0.confirmed.append(path.nextHop) } }

    func destinations() throws(Failure) -> [DestinationRecord] { state.withLock { Array($0.destinations.values) } }

    func forgetDestination(_ label: String) throws(Failure) {
        state.withLock {
            $0.destinations[label] = nil
            $0.keptWays[label] = nil
        }
    }

    func installPort(_ spec: MonitorPort.Spec, known: MonitorPort?) throws(Failure) -> MonitorPort {
        if let trouble = state.withLock({ $0.portsUnseen }) {
            guard var known else { throw trouble }
            known.unseen = trouble
            return known
        }
        state.withLock { $0.portTries += 1 }
        if let trouble = state.withLock({ $0.portTrouble }) { throw trouble }
        let name = MonitorPort.device(of: spec.name)
        return state.withLock { state in
            if state.marksOfPorts[spec.name]?.last != spec.marks { state.marksOfPorts[spec.name, default: []].append(spec.marks) }
            if let own = state.devices.first(where: { $0.name == name }) {
                let isTaken = state.portGuardsTaken > 0
                if isTaken { state.portGuardsTaken -= 1 }
                return MonitorPort(
                    ifindex: own.index, listener: state.devices.first { $0.index == own.index + 1 }?.name,
                    change: isTaken ? .guarded(["span0 ingress"]) : nil)
            }
            let index = (state.devices.map(\.index).max() ?? 0) + 1
            var (own, listener) = (
                HostDevice(index: index, name: name, mac: nil, kind: .other("veth"), mtu: 65_535),
                HostDevice(index: index + 1, name: spec.name, mac: nil, kind: .other("veth"), mtu: 65_535)
            )
            (own.link, listener.link) = (index + 1, index)
            state.devices += [own, listener]
            state.changes.append("port \(spec.name)")
            return MonitorPort(ifindex: index, listener: spec.name, change: .made)
        }
    }

    func removePorts(but names: Set<String>) throws(Failure) -> [String] {
        state.withLock { state in
            let unwished = state.devices.filter { $0.isOurs && !names.map(MonitorPort.device).contains($0.name) }
            state.devices.removeAll { device in unwished.contains { device.index == $0.index || device.index == $0.index + 1 } }
            let removed = unwished.map { String($0.name.dropFirst(HostDevice.ownPrefix.count)) }
            for name in removed { state.changes.append("no port \(name)") }
            return removed
        }
    }

    func sendTestFrame(_ desired: DesiredAttachment, _ direction: Direction, frame: [UInt8]) throws(Failure) -> TestFrameOutcome {
        try state.withLock { state in
            state.changes.append("test frame \(desired.domainName)/\(desired.key.tap) \(direction.rawValue)")
            return state.testFrameOutcome
        }.get()
    }

    func counters(of id: AttachmentID) throws(Failure) -> [Direction: DirectionCounters] { state.withLock { $0.counters[id] ?? [:] } }

    func purge() throws(Failure) -> Int {
        state.withLock { state in
            let count = state.attachments.count
            state.attachments = [:]
            state.destinations = [:]
            state.keptWays = [:]
            state.changes.append("purge")
            return count
        }
    }

    private func change(_ what: String, _ desired: DesiredAttachment) throws(Failure) {
        let failure = state.withLock { state -> Failure? in
            state.changes.append("\(what) \(desired.domainName)/\(desired.key.tap)")
            if let trouble = state.trouble { return trouble }
            return state.failures.isEmpty ? nil : state.failures.removeFirst()
        }
        if let failure { throw failure }
    }

    /// As the kernel has it now: a link outlives its device as a dead one.
    private static func now(_ attachment: ObservedAttachment, _ devices: [HostDevice]) -> ObservedAttachment {
        guard let ifindex = attachment.spec?.key.ifindex, !devices.contains(where: { $0.index == ifindex }) else { return attachment }
        var dead = attachment
        dead.hooks = attachment.hooks.mapValues { _ in .deviceGone }
        return dead
    }

    static func observed(_ desired: DesiredAttachment, since: Timestamp) -> ObservedAttachment {
        let hooks = desired.options.direction.directions.map { ($0, ObservedAttachment.Hook.attached(position: 0, foreignAhead: 0)) }
        return ObservedAttachment(
            id: desired.key.id, spec: AttachmentSpec(desired, since: since, build: "test"), hooks: Dictionary(uniqueKeysWithValues: hooks),
            isCurrentBuild: true)
    }
}

extension FakeKernel {
    var changes: [String] { state.withLock { $0.changes } }

    /// Those that touched a program, and not only the destination map.
    var programChanges: [String] { changes.filter { !$0.hasPrefix("destination") } }

    /// "web1/ids inbound,outbound > ids" for everything attached.
    var attached: [String] {
        state.withLock { state in
            state.attachments.values.compactMap { attachment in
                attachment.spec.map { "\($0.domainName)/\($0.key.tap) \($0.options.direction.rawValue) > \($0.options.destination)" }
            }.sorted()
        }
    }

    /// The device that copies for a destination go to; `nil`: it was never set.
    func destination(_ label: String) -> UInt32? { state.withLock { $0.destinations[label]?.ifindex } }

    func forgetChanges() { state.withLock { $0.changes = [] } }

    func add(_ device: HostDevice) { state.withLock { $0.devices.append(device) } }

    /// Removes these at one moment, as the kernel removes both ends of a veth pair.
    func remove(_ names: String...) { state.withLock { $0.devices.removeAll { names.contains($0.name) } } }

    func device(_ index: UInt32) -> HostDevice? { state.withLock { $0.devices.first { $0.index == index } } }

    /// As `ip link set` does.
    func change(_ device: String, _ body: @Sendable (inout HostDevice) -> Void) {
        state.withLock { state in
            for index in state.devices.indices where state.devices[index].name == device { body(&state.devices[index]) }
        }
    }

    /// As somebody does who detaches what he does not know.
    func sabotage() {
        state.withLock { state in
            for id in state.attachments.keys { state.attachments[id]?.hooks = [.inbound: .detached, .outbound: .detached] }
        }
    }
}
