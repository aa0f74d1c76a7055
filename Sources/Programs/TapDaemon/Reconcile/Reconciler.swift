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
    var failures: [AttachmentID: Failure] = [:]
    /// Those of them that the log has: each is there once, and not again with the tap's state or at the next attempt.
    var loggedFailures: [AttachmentID: Failure] = [:]
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
    var removals = RemovalHistory<AttachmentID>()
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
    /// Domains whose hook is being served.
    var inHook: Set<DomainUUID> = []
    /// Counts what a plan depends on: one made before a change is not carried out to its end.
    var changes = 0

    private var queue = WorkQueue()
    /// When next hops were asked last.
    private var confirmed = -Double.infinity
    private let wakeup = Wakeup()
    private(set) var isStopped = false
    private var isWorking = false
    /// What libvirt was asked for and has not answered: nothing is asked for twice, and nothing waits for another's answer.
    private var asked: Set<WorkQueue.Item> = []
    /// Domains that were read and are to be brought in order, one after the other.
    private var ready: [DomainUUID] = []
    /// Whether to say so when everything that was read has been brought in order.
    private var isOrderAwaited = false
    /// How that was found last, and why domains could not be listed: the same is not said again at each look.
    private var toldOrder = ""
    private var toldUnlisted: String?
    /// The attachments of a later version that the log has.
    private var toldForeign: Set<AttachmentID> = []

    /// Whether a domain is being looked at, or will be within the second for which wishes are merged.
    var isWorkDue: Bool {
        isWorking || !asked.isEmpty || !ready.isEmpty || filters.isResultDue(at: clock.monotonic())
            || queue.hasDomains(before: clock.monotonic() + WorkQueue.interval)
    }

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
        attachments = AttachmentTable()
        failures = [:]
        loggedFailures = [:]
        destinations = [:]
        ports = [:]
        specificRoutes = [:]
        let host = hostState
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

    // MARK: - The work loop

    func request(_ item: WorkQueue.Item, after delay: Double = 0) {
        queue.request(item, at: clock.monotonic(), after: delay)
        wakeup.wake()
    }

    /// Merges what is asked for this domain in the next second.
    func changedKernel(for uuid: DomainUUID) { queue.changedKernel(for: .domain(uuid), at: clock.monotonic()) }

    /// Does what was asked for, until `stop` or until the task is cancelled.
    func run() async {
        await withTaskCancellationHandler {
            await work()
        } onCancel: {
            Task { await stop() }
        }
    }

    private func work() async {
        while !isStopped {
            if !ready.isEmpty {
                isWorking = true
                let uuid = ready.removeFirst()
                await apply(uuid)
                if let known = domains[uuid], known.view.isRunning {
                    if known.isArriving { noteArrival(of: uuid) }
                    domains[uuid]?.isArriving = false
                } else {
                    arrivals.forget(uuid)
                }
                continue
            }
            isWorking = false
            if isOrderAwaited { tellOrder() }
            switch queue.next(at: clock.monotonic()) {
            case .run(.all):
                resynchronise()
                await watchMarks()
                request(.all, after: Double(configuration.value.resyncInterval))
            case .run(.domain(let uuid)):
                look(at: uuid)
            case .run(.sweep):
                request(.sweep, after: await sweep())
            case .run(.paths):
                let start = clock.monotonic()
                let isConfirming = start - confirmed >= Self.confirmInterval
                if isConfirming { confirmed = start }
                refreshPaths(isConfirming: isConfirming)
                // A thousand other machines take 0.1 s, and each neighbour among them is an event when it is asked.
                let now = clock.monotonic()
                queue.tookTime(for: .paths, at: now, seconds: now - start)
                if !paths.isEmpty { request(.paths, after: Self.confirmInterval) }
            case .run(.load):
                measureLoad()
                if configuration.value.limit != nil { request(.load, after: CopyBreaker.interval) }
            case .run(.silence):
                breakSilence()
            case .wait(let until):
                let delay = until - clock.monotonic()
                let alarm = Task {
                    try? await Task.sleep(for: .seconds(delay))
                    if !Task.isCancelled { wakeup.wake() }
                }
                await wakeup.wait()
                alarm.cancel()
            case .idle:
                await wakeup.wait()
            }
        }
    }

    /// Says how a look at everything ended, unless that is what the one before it found: a host where nothing happens is silent.
    private func tellOrder() {
        isOrderAwaited = false
        let states = domains.values.filter(\.view.isRunning).flatMap { lastStates[$0.view.uuid, default: [:]].values.map(\.state) }
        let active = states.count { $0 == .active }
        let rest = active == states.count ? "" : ", \(states.count - active) not: see `virt-tap status`"
        let text = "looked at every domain: \(active) tap(s) active\(rest)"
        logger.log(level: text == toldOrder ? .debug : .info, "\(text)")
        toldOrder = text
    }

    /// Brings a domain in order when its turn comes.
    func enqueue(_ uuid: DomainUUID) {
        if !ready.contains(uuid) { ready.append(uuid) }
        wakeup.wake()
    }

    /// Asks libvirt for one domain, beside the work loop: another program's hook may hold that domain for long.
    private func look(at uuid: DomainUUID) {
        guard asked.insert(.domain(uuid)).inserted else { return request(.domain(uuid), after: WorkQueue.interval) }
        let now = clock.monotonic()
        Task {
            do {
                let snapshot = try await source.domain(uuid)
                if let snapshot { take(snapshot, asked: now) } else { disappeared(uuid, asked: now) }
            } catch {
                logger.debug("\(label(uuid)): not read: \(error)")
                if isConnected { request(.domain(uuid), after: 5) }
            }
            if let live = domains[uuid]?.view.live {
                refreshDevices(of: live)
                prove(uuid)
                refreshDestinations(in: uuid)
            }
            asked.remove(.domain(uuid))
            enqueue(uuid)
        }
    }

    /// Looks at everything: after a connection, at a reload, and once in a while in case something was missed.
    private func resynchronise() {
        refreshDevices()
        refreshAttachments()
        keepPorts(isComplete: true)
        refreshPaths(isConfirming: false)
        pathsChanged()
        refreshDestinations()
        for attachment in attachments.all where attachment.spec == nil {
            if attachment.isForeign { leaveAlone(attachment) } else { execute(.detach(attachment.id, why: "it is half made")) }
        }
        forgetUnusedDestinations()
        forgetUnusedFilters()
        guard isConnected, asked.insert(.all).inserted else { return enqueueTapped() }
        let now = clock.monotonic()
        Task {
            do {
                let snapshots = try await source.domains()
                refreshDevices()
                for snapshot in snapshots { take(snapshot, asked: now) }
                directory.isComplete = true
                // Not before all of them are known: two may name one device.
                for snapshot in snapshots { prove(snapshot.uuid) }
                toldUnlisted = nil
                refreshDestinations()
                // What is not in the list is asked for one by one: a list alone is no evidence that a domain is gone.
                let listed = Set(snapshots.map(\.uuid))
                for uuid in Set(domains.keys).union(attachedDomains) where !listed.contains(uuid) { request(.domain(uuid)) }
            } catch {
                let text = "domains not listed: \(error)"
                logger.log(level: text == toldUnlisted ? .debug : .warning, "\(text)")
                toldUnlisted = text
                if isConnected { request(.all, after: 5) }
            }
            asked.remove(.all)
            isOrderAwaited = true
            enqueueTapped()
        }
    }

    /// What a later version attached goes on: this one does not know what for, and a downgrade is no evidence that nobody wants it.
    private func leaveAlone(_ attachment: ObservedAttachment) {
        guard !attachment.isDead else { return execute(.collect(attachment.id)) }
        guard toldForeign.insert(attachment.id).inserted else { return }
        let domain = domains.keys.first { $0.hex == attachment.id.domain }.map(label) ?? "the domain with UUID \(attachment.id.domain)"
        let device = devices[attachment.id.ifindex]?.name.printable ?? "ifindex \(attachment.id.ifindex)"
        let what = "a later version of virt-tap attached something to \(device) (attachment \(attachment.id)) that this one cannot read"
        logger.warning(
            "\(domain): \(what): it is left alone, and copies until the guest stops. That version shows what it is; `virt-tap purge` ends it"
        )
    }

    /// Brings every domain in order that has taps, or is tapped.
    private func enqueueTapped() {
        for (uuid, known) in domains where !known.view.verdicts.isEmpty || known.view.live?.taps.isEmpty == false { enqueue(uuid) }
        for uuid in attachedDomains { enqueue(uuid) }
        wakeup.wake()
    }

    // MARK: - What domains are

    /// Takes libvirt's word on a domain, unless something newer is known.
    private func take(_ snapshot: DomainSnapshot, asked: Double) {
        var known = domains[snapshot.uuid] ?? KnownDomain(view: DomainView(uuid: snapshot.uuid, name: snapshot.name, isRunning: false))
        guard asked >= known.asOf else { return request(.domain(snapshot.uuid)) }
        if !snapshot.isRunning, isStarting(known) {
            logger.debug("\(label(snapshot.uuid)): shut off for libvirt, but its start is under way")
            request(.domain(snapshot.uuid), after: 2)
            return
        }
        known.asOf = asked
        known.isArriving = snapshot.isRunning && (known.isArriving || !known.view.isRunning)
        known.view.name = snapshot.name
        known.view.isRunning = snapshot.isRunning
        known.startedByHook = nil
        known.isLibvirts = true
        if !snapshot.isRunning { known.view.uncalledStart = nil }
        known.take(live: snapshot.isRunning ? snapshot.liveXML : [], persistent: snapshot.persistentXML, parse: parseDomain)
        domains[snapshot.uuid] = known
        noteWishes(of: known, snapshot, asked: asked)
        absent.remove(snapshot.uuid)
        changes += 1
        claim(known.view.live?.interfaces ?? [], for: snapshot.uuid)
        enlist(snapshot.uuid, DomainDirectory.Entry(snapshot, interfaces: known.view.live?.interfaces))
    }

    /// libvirt says that there is no such domain.
    private func disappeared(_ uuid: DomainUUID, asked: Double) {
        if let known = domains[uuid] {
            guard asked >= known.asOf, !isStarting(known) else { return }
        }
        // Whether somebody holds what it had is no event where that is down. A thousand domains that are asked for together need it once.
        if !attachments.of(uuid).isEmpty, devicesRead <= asked { devicesChanged() }
        domains[uuid] = nil
        wishes.gone(uuid, at: clock.monotonic())
        absent.insert(uuid)
        changes += 1
        claim([], for: uuid)
        enlist(uuid, nil)
        lastStates[uuid] = nil
    }

    /// Notes which devices a domain names. Who names one that it gave up is looked at again.
    func claim(_ interfaces: [DomainInterface], for uuid: DomainUUID) {
        let before = claims.devices(namedBy: uuid)
        for heir in claims.set(interfaces, of: uuid) { request(.domain(heir)) }
        // A guest's device is no safe destination.
        let changed = claims.devices(namedBy: uuid).symmetricDifference(before)
        let isDestination = configuration.value.destinations.contains {
            if case .interface(let name, _) = $0.target { changed.contains(devices.device(called: name)?.name ?? name) } else { false }
        }
        if isDestination || (configuration.missing != nil && !changed.isEmpty) { refreshDestinations() }
    }

    /// Notes which devices are found to be a running domain's, which they are from then on.
    func prove(_ uuid: DomainUUID) {
        guard let view = domains[uuid]?.view, view.isRunning, let live = view.live else { return }
        for interface in live.interfaces {
            let proof = claims.proof(of: interface, in: uuid)
            guard case .success(let owned) = DeviceOwnership.device(of: interface, in: uuid, devices: devices, claims: claims),
                owned.device.index != proof?.ifindex
            else { continue }
            claims.prove(owned.device, is: interface, of: uuid)
        }
        if directory.isComplete, isSensor(uuid, directory[uuid]) { proveFormer(uuid, live) }
    }

    /// Finds the device of a sensor VM again that was given another name in the life of the daemon before this one.
    private func proveFormer(_ uuid: DomainUUID, _ live: DomainDefinition) {
        let former = destinations(in: uuid, called: live.name).compactMap { definition in
            formerSensors[definition.name.text].flatMap { devices[$0] }
        }
        for device in former {
            let interface = live.interfaces.first {
                DeviceOwnership.isFormer(device, of: $0, in: uuid, devices: devices, claims: claims)
            }
            if let interface { claims.prove(device, is: interface, of: uuid) }
        }
    }

    /// Says what somebody changed of a guest's device.
    private func tellOfChangedDevices(since before: DeviceTable) {
        for device in devices.all {
            guard let former = before[device.index], former != device, let owner = claims.owner(of: device.index) else { continue }
            let changes = DeviceTraits(former).changes(to: device, called: former.name)
            guard !changes.isEmpty else { continue }
            logger.info("\(label(owner)): its device \(former.name.printable) was changed: \(changes.joined(separator: "; ").printable)")
        }
    }

    /// Whether the hook said a short while ago that the domain starts, and its devices are still there.
    private func isStarting(_ known: KnownDomain) -> Bool {
        guard let started = known.startedByHook, clock.monotonic() - started < KnownDomain.startGrace else { return false }
        return known.view.live?.interfaces.contains { interface in
            interface.device.flatMap { devices[$0] } ?? claims.proof(of: interface, in: known.view.uuid).flatMap { devices[$0.ifindex] }
                != nil
        } ?? false
    }

    func parseDomain(_ bytes: [UInt8]) -> Result<DomainDefinition, Failure> {
        Result { () throws(Failure) in
            do {
                return try DomainXML.parse(bytes)
            } catch {
                throw Failure(.invalidMetadata, "the domain's XML cannot be read: \(error)")
            }
        }
    }

    /// A domain as the log names it.
    func label(_ uuid: DomainUUID) -> String {
        domains[uuid].map { "\($0.view.name.printable)" } ?? "domain \(uuid)"
    }

    private var attachedDomains: Set<DomainUUID> { Set(attachments.all.compactMap { $0.spec?.key.domain }) }

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
