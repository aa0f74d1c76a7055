// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import Hypervisor
import TapControl
import TapHost
import TapModel

/// `virt-tap set`.
struct SetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Add a tap to a domain, or change one.",
        discussion: """
            With --to, set adds the tap, or replaces the tap with the same name. Without --to, set changes the given options of \
            an existing tap and keeps the others. The domain's other taps stay as they are. By default both the running and \
            the persistent definition change.

            Examples: virt-tap set web1 --to ids --filter 'not port 22'; virt-tap set web1 --name ids --disabled
            """)

    @Argument(help: "The domain, by name, UUID or number.", completion: DomainCompletion.kind)
    var domain: String

    @OptionGroup(title: "The tap")
    var tap: TapOptions

    @OptionGroup var options: EditOptions

    func run() async throws {
        var tap = tap
        if let path = tap.filterFile { tap.filter = try FilterFile.read(path) }
        try await options.run(.set(tap), domain: domain)
    }
}

/// `virt-tap unset`.
struct UnsetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unset",
        abstract: "Remove taps from a domain.")

    @Argument(help: "The domain, by name, UUID or number.", completion: DomainCompletion.kind)
    var domain: String

    @Argument(help: "The taps to remove.", completion: NameCompletion.taps)
    var names: [String] = []

    @Flag(help: "Remove all taps of the domain.")
    var all = false

    @OptionGroup var options: EditOptions

    func validate() throws {
        if all, !names.isEmpty { throw ValidationError("--all and names of taps exclude each other") }
        if !all, names.isEmpty { throw ValidationError("no tap given: name the taps to remove, or use --all") }
    }

    func run() async throws {
        try await options.run(.unset(names: names, all: all), domain: domain)
    }
}

/// The options and the work that `set` and `unset` share.
///
/// The path options are those of every subcommand. `--config` has a second meaning here: see `ArgumentNormaliser`.
struct EditOptions: ParsableArguments {
    @Flag(name: .customLong("live"), help: "Change the running domain; default: both definitions.")
    var changesLive = false

    @Flag(
        name: .customLong("config"),
        help: "Change the persistent definition; default: both definitions.")
    var changesConfig = false

    @Flag(name: .customLong("current"), help: "Change the running domain, or the persistent definition if it does not run.")
    var changesCurrent = false

    @Flag(help: "Drop taps that are invalid, and write a tap that this host would refuse.")
    var force = false

    @Option(help: ArgumentHelp("The host's configuration file; also --config=FILE.", valueName: "file"), completion: .file())
    var configFile = HostPaths.configuration

    @OptionGroup var locations: LocationOptions

    var choices: Set<SideChoice> {
        Set(
            ([.live, .config, .current] as [SideChoice]).filter { choice in
                switch choice {
                case .live: changesLive
                case .config: changesConfig
                case .current: changesCurrent
                }
            })
    }

    /// Makes the change and prints what was done.
    func run(_ change: MetadataEdit.Change, domain: String) async throws {
        let configuration = try configuration(for: change)
        let uri = locations.connect ?? configuration?.libvirtURI
        var host = Self.isLocal(LibvirtURI.effective(uri)) ? configuration.map { ThisHost($0, bpffs: locations.bpffs).state } : nil
        do {
            let store = try await LibvirtMetadataEditor(uri: uri)
            if case .set(let options) = change, var completed = host, SensorLookup.isNeeded(completed.configuration, for: options.to) {
                do {
                    try await SensorLookup(store).complete(&completed, for: options.to)
                } catch let error as MetadataEditError {
                    // The daemon finds the sensor VM later.
                    Output.warn("cannot read from libvirt where the sensor VM runs: \("\(error)".printable)")
                }
                host = completed
            }
            let report = try await MetadataEditor(store: store, host: host, filters: .system, force: force)
                .run(change, domain: domain, choices: choices)
            let expectation = Self.isLocal(uri) ? report.expectation : nil
            // A warning that the daemon may give as well is held back until the daemon has answered.
            let heldBack = report.warnings.filter { expectation != nil && report.transient[$0] != nil }
            for line in report.warnings where !heldBack.contains(line) { Output.warn(line) }
            if case .set(let options) = change, options.required == true, host != nil, !HookInstallation.isInstalled() {
                Output.warn(
                    "required=\"yes\" has no effect without the hook: \(HookInstallation.path) is missing or not executable; "
                        + "`virt-tap doctor` says what to do")
            }
            try Output.write(report.done.map { $0 + "\n" }.joined())
            if let expectation { try await confirm(expectation, heldBack.map { ($0, report.transient[$0]) }) }
        } catch let error as MetadataEditError {
            throw CommandFailure(.failure, "\(error)".printable)
        }
    }

    /// The configuration to check the tap against; `nil`: it is not checked.
    private func configuration(for change: MetadataEdit.Change) throws(CommandFailure) -> HostConfiguration? {
        do {
            return try ConfigurationFile(path: configFile).load()
        } catch {
            guard case .set = change, Self.isLocal(LibvirtURI.effective(locations.connect)) else { return nil }
            // A user who may change domains but not read the configuration leaves the check to the daemon.
            let isUnreadable = access(configFile, F_OK) == 0 && access(configFile, R_OK) != 0
            guard force || isUnreadable else {
                throw CommandFailure(
                    .configuration,
                    lines: error.lines + [
                        "nothing was changed: cannot check the tap against this host's configuration; correct the configuration, or use --force"
                    ])
            }
            for line in error.lines { Output.warn(line) }
            Output.warn("the tap was not checked against this host's configuration")
            return nil
        }
    }

    /// Waits for the daemon and prints what became of the tap. The metadata is written already.
    /// - Parameter heldBack: warnings that are printed unless the daemon's answer has their reason.
    /// - Throws: `unhealthy` if the tap does not work.
    private func confirm(_ expectation: TapExpectation, _ heldBack: [(line: String, reason: Reason?)]) async throws {
        let reader = StatusReader(directory: RuntimeDirectory(locations.runtimeDir), bpffs: locations.bpffs, configPath: configFile)
        let result = await ChangeConfirmation.wait(for: expectation) { timeout throws(ControlError) in
            try reader.readFromDaemon(within: timeout)
        }
        for (line, reason) in heldBack where reason == nil || result.reason != reason { Output.warn(line) }
        if let line = result.done { try Output.write(line + "\n") }
        if let line = result.warning { Output.warn(line) }
        if result.isUnhealthy { throw CommandFailure(.unhealthy, lines: [expectation.advice].compactMap { $0 }) }
    }

    /// Whether a libvirt URI is of this host: it has no host name between `//` and the path.
    static func isLocal(_ uri: String?) -> Bool {
        guard let uri, let slashes = uri.firstRange(of: "://") else { return true }
        return uri[slashes.upperBound...].first.map { $0 == "/" } ?? true
    }
}
