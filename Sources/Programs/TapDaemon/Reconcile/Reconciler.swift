// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapHost
import TapModel
import TapXML

/// Keeps what the kernel copies equal to what the domains' live XML and the host's configuration say.
///
/// It is level-triggered: whatever happens only makes it look again at one domain or at all of them, and compare. All
/// its state can be found again from libvirt, the configuration and the pins.
actor Reconciler {
    nonisolated let executor: KernelExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    let dataplane: any TapDataplane
    let source: any DomainSource
    let compiler: any FilterSource
    let clock: DaemonClock
    let logger: Logger
    let identity: DaemonIdentity

    var configuration: LoadedConfiguration
    /// Why there is no status socket although the configuration asks for one.
    var statusSocketTrouble: Failure?
    var isPaused = false
    var isConnected = false
    var disconnectedWhy = "not connected yet"
    var libvirtVersion: String?
    var hookSeen: Timestamp?

    var domains: [DomainUUID: KnownDomain] = [:]
    var claims = DeviceClaims()
    var directory = DomainDirectory()
    /// The devices of sensor VMs that the daemon before this one sent copies to, by destination.
    var formerSensors: [String: UInt32] = [:]
    /// How packets get to the other ends of tunnels, as it was found last.
    var paths: [UnderlayQuery: Result<UnderlayPath, Failure>] = [:]
    /// Remote addresses that had a way besides the default route in this daemon's life, or when the kernel was told of one last; the
    /// device.
    var specificRoutes: [[UInt8]: String] = [:]
    /// Whether what the kernel was told before this daemon started is among them.
    var areWaysRecalled = false
    var devices = DeviceTable()
    /// When all of them were read last.
    var devicesRead = -Double.infinity
    var attachments = AttachmentTable()
    /// What the destination map was last told, by label, and why.
    var destinations: [String: (verdict: DestinationVerdict, route: DestinationRoute)] = [:]
    /// The monitor ports of the configuration, by name, as they were found or made last.
    var ports: [String: Result<MonitorPort, Failure>] = [:]
    /// How often somebody took away what keeps a port apart from the host.
    var portGuards = RemovalHistory<String>()
    /// When those that could not be had were tried last (monotonic seconds).
    var portFailures: [String: Double] = [:]
    /// Keeps all copies together below the host's `<limit>`.
    var breaker = CopyBreaker()
    /// What each destination of the configuration was last found to be.
    var destinationsSeen: [String: DestinationVerdict] = [:]
    var filters = FilterTable()
    var portRemovals = RemovalHistory<String>()
    var arrivals = ArrivalLog()
    /// Whether libvirt calls the hook, by the guests that are seen to start.
    var hookWatch: HookWatch
    /// The latest start that no call of the hook came for, while none has come since.
    var uncalled: (domain: String, time: Timestamp)?
    /// Whether the hook is where libvirt looks for it.
    let isHookInstalled: @Sendable () -> Bool
    /// The taps that domains had.
    var wishes = TapLossWatch()
    var marks = MarkWatch()
    /// Of which taps the log has that frames with the mark of copies came that are none.
    var toldMarks: Set<TapKey> = []
    /// The state that each tap was last seen in, to log changes and to tell how long it lasts.
    var lastStates: [DomainUUID: [TapOccurrence: TapStateRecord]] = [:]
    /// Why the kernel side as a whole cannot be used at the moment, for the log.
    var kernelTrouble: Failure?

    /// Domains of which libvirt said, over this connection, that they do not exist.
    var absent: Set<DomainUUID> = []
    /// Counts what a plan depends on: one made before a change is not carried out to its end.
    var changes = 0

    var schedule = Schedule()
    let wakeup = Wakeup()
    private(set) var isStopped = false
    /// What the log has of everything, and why domains could not be listed: the same is not logged again at each look.
    var loggedSummary = ""
    var loggedListFailure: String?

    init(
        dataplane: sending any TapDataplane, source: any DomainSource, compiler: any FilterSource, configuration: LoadedConfiguration,
        identity: DaemonIdentity, clock: DaemonClock = .system,
        isHookInstalled: @escaping @Sendable () -> Bool = { HookInstallation.isInstalled() },
        logger: Logger
    ) {
        executor = KernelExecutor()
        self.dataplane = dataplane
        self.source = source
        self.compiler = compiler
        self.configuration = configuration
        self.identity = identity
        self.clock = clock
        self.isHookInstalled = isHookInstalled
        hookWatch = HookWatch(since: clock.monotonic())
        self.logger = logger
    }

    // MARK: - What others tell

    /// Finds what an earlier daemon left in the kernel, before anything else is known, and keeps it copying.
    func adopt() {
        if let problem = configuration.problem { report(problem) }
        request(.sweep)
        request(.load)
        refreshDevices()
        refreshAttachments()
        let count = attachments.count
        if count > 0 { logger.info("found \(count) attachment(s) in the kernel; they went on copying") }
        claimWhatIsTapped()
        keepPorts(isComplete: true)
        let records = (try? dataplane.destinations()) ?? []
        for record in records where record.kind == .domain { formerSensors[record.label] = record.ifindex }
        refreshPaths(isConfirming: true)
        refreshDestinations()
        pathsChanged()
        request(.all)
    }

    func handle(_ event: HypervisorEvent) {
        switch event {
        case .connected(let version):
            isConnected = true
            absent = []
            wishes.connected(at: clock.monotonic())
            libvirtVersion = version
            logger.notice("connected to libvirt \(version)")
            request(.all)
        case .disconnected(let why):
            isConnected = false
            disconnectedWhy = why
            logger.warning("no connection to libvirt: \(why.printable); taps go on copying, reconnecting goes on")
        case .domainChanged(let uuid, let what):
            logger.debug("\(label(uuid)): \(what.printable)")
            request(.domain(uuid))
        case .guestRuns(let uuid):
            if let lead = arrivals.runs(uuid, at: clock.monotonic()) { report(lead, uuid) }
        case .started(let uuid, let comesFromElsewhere):
            started(uuid, comesFromElsewhere: comesFromElsewhere)
        case .metadataWritten(let uuid, let namespace):
            metadataWritten(uuid, namespace: namespace)
        }
    }

    /// Links or addresses of the host changed.
    func devicesChanged() {
        let before = devices
        refreshDevices()
        tellOfChangedDevices(since: before)
        changes += 1
        keepMissingPorts()
        refreshDestinations()
        if linksOfPaths(in: devices) != linksOfPaths(in: before) { refreshInlineDestinations() }
        pathsChanged()
        for uuid in domainsConcerned(by: before) { request(.domain(uuid)) }
    }

    /// Ends all copying and does nothing more until the next reload. After an error it goes on as before.
    func purge() throws(Failure) -> Int {
        let count: Int
        do {
            count = try dataplane.purge()
        } catch {
            request(.all)
            throw error
        }
        isPaused = true
        changes += 1
        attachments.purge()
        destinations = [:]
        ports = [:]
        specificRoutes = [:]
        let host = readHost()
        for uuid in domains.keys {
            evaluate(uuid, on: host)
            noteStates(of: uuid)
        }
        logger.notice("purged \(count) attachment(s); paused until the next reload")
        return count
    }

    func stop() {
        isStopped = true
        wakeup.wake()
    }

    /// Whose a tapped device is was proved when it was tapped: after a restart nobody else gets it by being listed first, and it is that
    /// domain's whatever it is called by now. A program of ours that is still there is what proves that it is the same device, and
    /// not another with its number.
    private func claimWhatIsTapped() {
        let alive = attachments.all.filter { !$0.isDead && $0.position != nil }
        for (uuid, specs) in Dictionary(grouping: alive.compactMap(\.spec), by: \.key.domain) {
            let proved = specs.map { spec in
                let interface = spec.interface
                return (
                    spec,
                    DomainInterface(alias: interface.alias, mac: interface.mac, type: interface.type, device: interface.device)
                )
            }
            claims.set(proved.map(\.1), of: uuid)
            for (spec, interface) in proved {
                guard let device = devices[spec.key.ifindex], (device.kind == .macvtap) == spec.interface.isMacvtap else { continue }
                claims.prove(device, is: interface, of: uuid, traits: spec.interface.traits)
            }
        }
    }

    /// The domains for which a change of devices since `before` may mean work: a tapped device that is gone or is not what
    /// it was, and one that a domain names and that is new, gone or was called otherwise, or is in another bridge: of
    /// `virsh update-device` nobody else tells.
    private func domainsConcerned(by before: DeviceTable) -> Set<DomainUUID> {
        func changed(_ index: UInt32) -> Bool {
            guard let old = before[index], let new = devices[index] else { return true }
            return old.name != new.name || old.mac != new.mac || old.kind != new.kind || old.masterName != new.masterName
                || old.isHeld != new.isHeld
        }
        var concerned: Set<DomainUUID> = []
        for attachment in attachments.all {
            guard let key = attachment.spec?.key else { continue }
            if changed(key.ifindex) { concerned.insert(key.domain) }
        }
        for device in devices.all where changed(device.index) {
            concerned.formUnion(claims.domains(naming: device.name))
            if let owner = claims.owner(of: device.index) { concerned.insert(owner) }
        }
        for device in before.all where devices[device.index] == nil { concerned.formUnion(claims.domains(naming: device.name)) }
        return concerned
    }
}
