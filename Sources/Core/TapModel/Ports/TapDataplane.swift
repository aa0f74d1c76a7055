// SPDX-License-Identifier: LGPL-2.1-or-later

/// The operations on the kernel: the eBPF data path, or a stand-in in tests.
///
/// Calls block: an attachment takes about 10 ms per direction, while the kernel waits for RCU with RTNL held. So they are made from one
/// thread that waits for nothing else. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON. A call that fails undoes what it has done. No call
/// touches a program, filter, qdisc, device or pin that virt-tap did not make.
///
/// Every call throws `permission-denied` without its privileges, `bpffs-not-mounted` where it needs pins and there is no bpffs, and
/// `attach-failed` with errno for any other answer of the kernel; each call documents only further errors.
public protocol TapDataplane: AnyObject {
    /// Locks the bpffs for this process, so that no second daemon undoes its work; the lock ends with the process. Calling it again is
    /// harmless, and locks a bpffs that was mounted meanwhile.
    /// - Throws: `attach-failed` when another process has the lock; `bpffs-not-mounted`, `permission-denied`.
    func lock() throws(Failure)

    /// Chooses how to attach on this kernel. Probes once and remembers conclusive answers.
    /// - Throws: `kernel-too-old` when the kernel lacks the chosen mechanism, `permission-denied`, `bpffs-not-mounted`.
    func mechanism(for choice: MechanismChoice) throws(Failure) -> Mechanism

    /// Reads every netdev of our network namespace.
    func devices() throws(Failure) -> [HostDevice]

    /// Reads one netdev; `nil`: there is none of that name. Quick, also among thousands; does not read `hasAddress`.
    func device(named name: String) throws(Failure) -> HostDevice?

    /// Reads all attachments of virt-tap in the kernel, from the pins alone.
    func attachments() throws(Failure) -> [ObservedAttachment]

    /// Reads one attachment; `nil`: nothing with this id is pinned.
    func attachment(_ id: AttachmentID) throws(Failure) -> ObservedAttachment?

    /// Whether the programs of an attachment are still where they were when it was observed. Checks nothing else, and is quick enough for
    /// thousands of attachments about once per second.
    func isUndisturbed(_ attachment: ObservedAttachment) throws(Failure) -> Bool

    /// Loads programs, pins and attaches them; the counters start at zero. The destination must have been set before.
    /// - Throws: `no-such-destination` when it was not set; `device-gone`; `qdisc-conflict` with an ingress qdisc of others;
    ///   `kernel-too-old` without TCX where that was chosen; `filter-too-large`, `filter-pending` for a filter that is not compiled.
    func attach(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure)

    /// Replaces an attachment with the same key in place; the counters go on.
    /// - Throws: as `attach`; what was attached before copies on then.
    func replace(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure)

    /// Ends copying and removes the pins, dead ones included. No error when there are none.
    func detach(_ id: AttachmentID) throws(Failure)

    /// Sets where copies for `label` go from now on. Known labels keep their counters.
    /// - Parameter label: 1 to 95 bytes.
    /// - Returns: whether the destination map was lost and has been made again, so that attached programs do not use it yet.
    /// - Throws: `attach-failed` also when all 1,024 slots are in use.
    @discardableResult
    func setDestination(_ label: String, _ route: DestinationRoute) throws(Failure) -> Bool

    /// Reads how packets get to a remote address now; if the query names a device, only routes by that device count. Asks for the MAC address
    /// of the next hop where it is not known. `UnderlayRules` decides whether copies may take that path.
    /// - Throws: `neighbour-unreachable` without a route; `destination-unsafe` for an address of this host and for a multicast, broadcast,
    ///   unspecified or link-local address; `destination-down` for a source that is not this host's, without any source, and for a device
    ///   that does not exist, is down or has no route there; `not-implemented` for a device without MAC addresses or a route that
    ///   encapsulates packets.
    func path(for query: UnderlayQuery) throws(Failure) -> UnderlayPath

    /// The remote addresses to which copies last went by a route that is not the default route, and the ifindex of its device. The kernel's
    /// table keeps them (`DestinationRoute.specificRoute`), so they outlive the daemon.
    func specificRoutes() throws(Failure) -> [[UInt8]: UInt32]

    /// Asks the next hop whether it is still there, since the kernel does not do so for packets that it does not send itself. Does not wait
    /// for an answer.
    func confirmNextHop(_ path: UnderlayPath) throws(Failure)

    /// Refreshes the offset with which programs compute the real time for ERSPAN headers, since they have only a monotonic clock and somebody
    /// may set the real one. To be called from time to time; writes nothing while the offset is right to a millisecond.
    func refreshClock() throws(Failure)

    /// Reads again whether the devices of destinations take whole GSO packets, which ethtool(8) may have changed.
    func refreshOffloads() throws(Failure)

    /// Reads every destination that has been set and not forgotten.
    func destinations() throws(Failure) -> [DestinationRecord]

    /// Frees the slot of a destination that no attachment uses. No error when there is none of that name.
    /// - Throws: `attach-failed` while an attachment uses it.
    func forgetDestination(_ label: String) throws(Failure)

    /// Installs a monitor port, or repairs an existing one. Copies may be sent to the result: the programs that keep them from the host's own
    /// network are in place. Quick when nothing has changed.
    /// - Parameter known: the port as it was found last. It is returned, with the reason, when the port cannot be read.
    /// - Throws: `destination-unsafe` when a device that is not virt-tap's has the name; `attach-failed`, and what keeps programs from being
    ///   pinned. No copy may be sent there then.
    func installPort(_ spec: MonitorPort.Spec, known: MonitorPort?) throws(Failure) -> MonitorPort

    /// Removes every monitor port of virt-tap without one of these names, half-made ones included.
    /// - Returns: the names of the removed ports.
    func removePorts(but names: Set<String>) throws(Failure) -> [String]

    /// Runs the attached program on a test frame, as if the frame had passed in that direction, and returns what became of the copy. The copy is
    /// really sent. The guest and its network do not see the frame, and the tap's counters do not count it.
    /// - Parameters:
    ///   - desired: the attachment as it is attached, with its compiled filter.
    ///   - direction: the direction whose program runs.
    ///   - frame: a whole Ethernet frame of IPv4 or IPv6.
    /// - Throws: `attach-failed` when the attachment has no program at the hook.
    func sendTestFrame(_ desired: DesiredAttachment, _ direction: Direction, frame: [UInt8]) throws(Failure) -> TestFrameOutcome

    /// Reads the counters of an attachment, for the directions that it has.
    func counters(of id: AttachmentID) throws(Failure) -> [Direction: DirectionCounters]

    /// The verifier's whole log if the last failed call failed because the verifier refused a program; the failure has only its last useful
    /// line.
    var lastVerifierLog: String? { get }

    /// Removes everything that virt-tap has in the kernel, of this layout of pins and of others.
    /// - Returns: the number of attachments that were removed.
    func purge() throws(Failure) -> Int
}

extension TapDataplane {
    /// Reads the paths to all tunnels of a configuration.
    public func paths(for configuration: HostConfiguration) -> [UnderlayQuery: Result<UnderlayPath, Failure>] {
        configuration.destinations.reduce(into: [:]) { paths, definition in
            guard case .tunnel(let tunnel) = definition.target, let query = UnderlayQuery(tunnel) else { return }
            paths[query] = Result { () throws(Failure) in try path(for: query) }
        }
    }

    /// Reads how packets get to a remote address by any device.
    public func path(to remote: [UInt8], source: [UInt8]?) throws(Failure) -> UnderlayPath {
        try path(for: UnderlayQuery(remote: remote, source: source))
    }

    /// Sets a device as the destination `label`.
    @discardableResult
    public func setDestination(
        _ label: String, kind: DestinationTarget.Kind, ifindex: UInt32, rate: RateLimit? = nil
    ) throws(Failure) -> Bool {
        try setDestination(label, DestinationRoute(kind: kind, ifindex: ifindex, rate: rate))
    }
}
