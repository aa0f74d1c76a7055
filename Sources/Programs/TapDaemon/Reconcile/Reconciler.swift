// SPDX-License-Identifier: LGPL-2.1-or-later

import Logging
import TapHost
import TapModel
import TapXML

/// Keeps what the kernel copies equal to what the domains' live XML and the host's configuration say.
///
/// It is level-triggered: whatever happens only makes it read one domain or all of them again, and compare. All
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

    /// The configuration in force, and whether a purge holds all work.
    var configuration: LoadedConfiguration
    /// Why there is no status socket although the configuration asks for one.
    var statusSocketTrouble: Failure?

    // What is known, each with a private state of its own.
    var domains = DomainTable()
    var underlay = UnderlayTable()
    var knownDevices = KnownDevices()
    var devices: DeviceTable { knownDevices.table }
    var attachments = AttachmentTable()
    var destinations = DestinationTable()
    var ports = PortTable()
    var filters = FilterTable()
    var hookRecord: HookRecord
    /// Whether the hook is where libvirt looks for it.
    let isHookInstalled: @Sendable () -> Bool
    /// The taps that domains had.
    var tapLosses = TapLossWatch()
    var tapStates = TapStateTable()
    /// Why the kernel side as a whole cannot be used at the moment, for the log.
    var kernelTrouble: Failure?

    /// Grows with every change that a plan depends on: one decided before a change is not executed to its end.
    var generation: Int {
        configuration.generation + knownDevices.generation + domains.generation + filters.generation + underlay.generation
            + ports.generation + destinations.generation
    }

    /// What the work loop does next.
    var schedule = Schedule()
    let wakeup = Wakeup()
    private(set) var isStopped = false
    var resyncLog = ResyncLog()

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
        hookRecord = HookRecord(since: clock.monotonic())
        self.logger = logger
    }

    // MARK: - Events

    /// Finds what an earlier daemon left in the kernel, before anything else is known, and keeps it copying.
    func adopt() {
        if let problem = configuration.problem { report(problem) }
        request(.sweep)
        request(.volume)
        refreshDevices()
        refreshAttachments()
        let count = attachments.count
        if count > 0 { logger.info("found \(count) attachment(s) in the kernel; they went on copying") }
        domains.adopt(attachments.all, devices)
        keepPorts(isComplete: true)
        domains.adopt((try? dataplane.destinations()) ?? [])
        refreshPaths(isConfirming: true)
        refreshDestinations()
        pathsChanged()
        request(.all)
    }

    /// libvirt reports something.
    func handle(_ event: HypervisorEvent) {
        switch event {
        case .connected(let version):
            domains.connected(version)
            tapLosses.connected(at: clock.monotonic())
            logger.notice("connected to libvirt \(version)")
            request(.all)
        case .disconnected(let why):
            domains.disconnected(why)
            logger.warning("no connection to libvirt: \(why.printable); taps go on copying, reconnecting goes on")
        case .domainChanged(let uuid, let what):
            logger.debug("\(label(uuid)): \(what.printable)")
            request(.domain(uuid))
        case .guestRuns(let uuid):
            if let lead = hookRecord.runs(uuid, at: clock.monotonic()) { report(lead, uuid) }
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
        logChangedDevices(since: before)
        keepMissingPorts()
        refreshDestinations()
        if underlay.links(in: devices) != underlay.links(in: before) { refreshInlineDestinations() }
        pathsChanged()
        for uuid in domains.concerned(from: before, to: devices, attachments: attachments.all) { request(.domain(uuid)) }
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
        configuration.pause()
        attachments.purge()
        destinations.purge()
        ports.purge()
        underlay.forgetWays()
        let host = readHost()
        for uuid in domains.all.keys {
            evaluate(uuid, on: host)
            noteStates(of: uuid)
        }
        logger.notice("purged \(count) attachment(s); paused until the next reload")
        return count
    }

    /// Ends the work loop; what is attached copies on.
    func stop() {
        isStopped = true
        wakeup.wake()
    }
}
