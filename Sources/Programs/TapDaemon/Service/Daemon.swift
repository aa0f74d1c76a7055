// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import FilterCompiler
import Glibc
import Hypervisor
import Logging
import ServiceLifecycle
import UnixSignals
import TapControl
import TapHost
import TapModel

/// Puts the parts together and runs them until SIGTERM or SIGINT.
struct Daemon {
    var file: ConfigurationFile
    /// The command line's libvirt, which wins over the configuration's.
    var connect: String?
    var runtimeDirectory: String
    var bpffs: String
    var logger: Logger

    func run() async throws {
        // A peer that goes away is an error of that write, and no reason to end.
        signal(SIGPIPE, SIG_IGN)
        let inherited = InheritedSocket.adoptAll()
        let directory = RuntimeDirectory(runtimeDirectory)
        try directory.prepare()
        // One daemon per runtime directory: two would undo each other's work.
        let lock = try DaemonLock(in: directory)
        defer { withExtendedLifetime(lock) {} }
        let listeners = try ListeningSocket.sockets(in: directory, inherited: inherited)

        let clock = DaemonClock.system
        // One that cannot be used is no reason not to run: guests start, and taps in the kernel are to be kept.
        let loaded = LoadedConfiguration(path: file.path, Result { () throws(ConfigurationFileError) in try file.load() }, at: clock.wall())
        let uri = connect ?? loaded.value.libvirtURI
        let source = LibvirtDomainSource(uri: uri)
        let dataplane = KernelDataplane(bpffs: bpffs)
        do {
            try dataplane.lock()
        } catch {
            guard error.reason != .attachFailed else { throw error }
            logger.warning("\(error.message)", metadata: ["reason": "\(error.reason.rawValue)"])
        }
        let reconciler = Reconciler(
            dataplane: dataplane, source: source, compiler: FilterCompiler(),
            configuration: loaded,
            identity: DaemonIdentity(
                pid: getpid(), uri: LibvirtURI.effective(uri), isURIFixed: connect != nil, started: clock.wall()),
            clock: clock, logger: logger)
        let notifier = ServiceNotifier()
        // Unless systemd made one.
        let isStatusServed = listeners.contains { $0.access == .statusOnly }
        let statusSocket = isStatusServed ? nil : StatusSocket(in: directory, handler: RequestHandler(reconciler: reconciler).answer)
        let loader = ConfigurationLoader(file: file, reconciler: reconciler, statusSocket: statusSocket)

        let server = try ControlServer(
            listeners: listeners,
            handler: RequestHandler(reconciler: reconciler, loader: loader, examination: SelfExamination(bpffs: bpffs)).answer)
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: ReconcilerService(reconciler: reconciler)),
                    .init(service: ControlService(server: server, notifier: notifier)),
                    .init(service: DeviceService(reconciler: reconciler, subject: .links, logger: logger)),
                    .init(service: DeviceService(reconciler: reconciler, subject: .paths, logger: logger)),
                    .init(service: ReloadService(loader: loader, notifier: notifier)),
                    .init(service: HypervisorService(source: source, reconciler: reconciler)),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "virt-tapd.services", factory: { _ in SwiftLogNoOpLogHandler() })))
        logger.notice("virt-tapd \(virtTapVersion) starts", metadata: ["config": "\(file.path)", "libvirt": "\(uri ?? "default")"])
        // Before anybody can ask: a guest that starts now meets what is there.
        await reconciler.adopt()
        try await services.run()
        notifier.stopping()
        await loader.stop()
        logger.notice("virt-tapd ends; taps go on copying")
    }
}
