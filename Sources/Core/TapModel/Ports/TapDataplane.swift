// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the kernel is asked to do: the eBPF data path, or a stand-in in tests.
///
/// Calls block, an attachment for some 10 ms a direction while the kernel waits for RCU with RTNL held, so they are
/// made from one thread that waits for nothing else. Needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON. Whatever fails leaves things as
/// they were: what had been done is undone. Nothing here ever touches a program, filter, qdisc, device or pin that
/// virt-tap did not make.
///
/// Every call throws `permission-denied` without its privileges, `bpffs-not-mounted` where it needs pins and there is no bpffs, and
/// `attach-failed` with errno for whatever else the kernel answers; only what a call throws besides is said with it.
public protocol TapDataplane: AnyObject {
    /// Takes the bpffs for this process, so that no second daemon undoes its work; ends with the process. Doing it again
    /// does no harm, and takes one that was mounted meanwhile.
    /// - Throws: `attach-failed` when another process has it; `bpffs-not-mounted`, `permission-denied`.
    func lock() throws(Failure)

    /// Chooses how to attach on this kernel; probes once and remembers conclusive answers.
    /// - Throws: `kernel-too-old` when the choice cannot be had, `permission-denied`, `bpffs-not-mounted`.
    func mechanism(for choice: MechanismChoice) throws(Failure) -> Mechanism

    /// Every netdev of our network namespace.
    func devices() throws(Failure) -> [HostDevice]

    /// One netdev, `nil` when there is none of that name. Quick, also among thousands; `hasAddress` is not looked up.
    func device(named name: String) throws(Failure) -> HostDevice?

    /// Everything of ours in the kernel, found from the pins alone.
    func attachments() throws(Failure) -> [ObservedAttachment]

    /// One of them as it is now, or `nil` when nothing with this id is pinned.
    func attachment(_ id: AttachmentID) throws(Failure) -> ObservedAttachment?

    /// Whether the programs of an attachment stand where they stood when it was observed: no more than that, and quick enough
    /// to be asked of thousands about once a second.
    func isUndisturbed(_ attachment: ObservedAttachment) throws(Failure) -> Bool

    /// Loads, pins and attaches; the counters start at zero. The destination must have been set before.
    /// - Throws: `no-such-destination` when it was not; `device-gone`; `qdisc-conflict` beside an ingress qdisc of others;
    ///   `kernel-too-old` without TCX where that was chosen; `filter-too-large`, `filter-pending` for a filter that is not compiled.
    func attach(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure)

    /// Brings an attachment with the same key to `desired` in place; the counters go on.
    /// - Throws: as `attach`; what was attached copies on then.
    func replace(_ desired: DesiredAttachment, at now: Timestamp) throws(Failure)

    /// Ends copying and removes the pins, dead ones included. No error when there are none.
    func detach(_ id: AttachmentID) throws(Failure)

    /// Says where copies for `label` go from now on. Known labels keep their counters.
    /// - Parameter label: 1 to 95 bytes.
    /// - Returns: whether the table of destinations was lost and has been made anew: what is attached does not work on it yet.
    /// - Throws: `attach-failed`, too, when all 1,024 places are taken.
    @discardableResult
    func setDestination(_ label: String, _ route: DestinationRoute) throws(Failure) -> Bool

    /// How packets get to a remote address now, of the routes by the device that is asked for if one is. Asks for the next hop's MAC
    /// address where that is not known. Whether copies may take that way is another question: `UnderlayRules`.
    /// - Throws: why nothing can be sent there: `neighbour-unreachable` without a route, `destination-unsafe` for an address of this host,
    ///   of many, of nobody or of any link, `destination-down` for a source that is not this host's or where there is none, and for a
    ///   device that is not there, is down or that no route leads by, `not-implemented` for one without MAC addresses or a route that wraps
    ///   packets.
    func path(for query: UnderlayQuery) throws(Failure) -> UnderlayPath

    /// The remote addresses to which copies last went by a route that is not the default route, and the ifindex of its device. The kernel's
    /// table keeps them (`DestinationRoute.specificRoute`), so they outlive the daemon.
    func specificRoutes() throws(Failure) -> [[UInt8]: UInt32]

    /// Asks the next hop whether it is still there: what the kernel does not send itself it does not ask for. Does not wait for an answer.
    func confirmNextHop(_ path: UnderlayPath) throws(Failure)

    /// Has the time in ERSPAN's headers follow the real clock, which somebody may have set: the programs have only a monotonic one. To be
    /// called now and then; writes nothing while the two agree to a millisecond.
    func refreshClock() throws(Failure)

    /// Looks again whether the devices of destinations take GSO packets whole, which ethtool(8) may have changed.
    func refreshOffloads() throws(Failure)

    /// Every destination that was ever set and not forgotten.
    func destinations() throws(Failure) -> [DestinationRecord]

    /// Frees the place of a destination that no attachment uses. No error when there is none of that name.
    /// - Throws: `attach-failed` while one uses it.
    func forgetDestination(_ label: String) throws(Failure)

    /// Makes a monitor port, or brings one that is there in order. Copies may be sent to what it gives: whatever keeps them from the host's
    /// own network is in place. Quick where nothing has changed.
    /// - Parameter known: as it was found last; given back, and why, where it cannot be looked at.
    /// - Throws: `destination-unsafe` when a device that is not virt-tap's has its name; `attach-failed`, and whatever keeps programs from
    ///   being pinned: then no copy may be sent there.
    func installPort(_ spec: MonitorPort.Spec, known: MonitorPort?) throws(Failure) -> MonitorPort

    /// Removes every monitor port of ours but those with these names, and what is left of others.
    /// - Returns: the names of those that were there.
    func removePorts(but names: Set<String>) throws(Failure) -> [String]

    /// Gives one frame to what is attached, as if it had come by in that direction, and says what became of the copy, which is really
    /// sent. Neither the guest nor its network sees anything of it, and the tap's counters do not count it.
    /// - Parameters:
    ///   - desired: as it is attached, with its compiled filter; only one direction of it is tried.
    ///   - frame: a whole Ethernet frame of IPv4 or IPv6.
    /// - Throws: `attach-failed` where no program of it is at the hook.
    func sendTestFrame(_ desired: DesiredAttachment, _ direction: Direction, frame: [UInt8]) throws(Failure) -> TestFrameOutcome

    /// The counters of an attachment, for the directions that it has.
    func counters(of id: AttachmentID) throws(Failure) -> [Direction: DirectionCounters]

    /// The verifier's whole log, when the last call that failed did so because it refused a program: the failure has only its last useful
    /// line.
    var lastVerifierLog: String? { get }

    /// Removes everything that virt-tap has put into the kernel, of this layout and of others.
    /// - Returns: how many attachments there were.
    func purge() throws(Failure) -> Int
}

extension TapDataplane {
    /// The ways to all tunnels of a configuration.
    public func paths(for configuration: HostConfiguration) -> [UnderlayQuery: Result<UnderlayPath, Failure>] {
        configuration.destinations.reduce(into: [:]) { paths, definition in
            guard case .tunnel(let tunnel) = definition.target, let query = UnderlayQuery(tunnel) else { return }
            paths[query] = Result { () throws(Failure) in try path(for: query) }
        }
    }

    /// How packets get to a remote address by whatever device the routes say.
    public func path(to remote: [UInt8], source: [UInt8]?) throws(Failure) -> UnderlayPath {
        try path(for: UnderlayQuery(remote: remote, source: source))
    }

    /// A device that copies are sent to.
    @discardableResult
    public func setDestination(
        _ label: String, kind: DestinationTarget.Kind, ifindex: UInt32, rate: RateLimit? = nil
    ) throws(Failure) -> Bool {
        try setDestination(label, DestinationRoute(kind: kind, ifindex: ifindex, rate: rate))
    }
}
