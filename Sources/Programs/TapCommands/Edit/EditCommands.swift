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
        abstract: "Adds a tap to a domain's metadata, or changes one.",
        discussion: """
            With --to it describes the whole tap, and replaces the one of that name; without, it changes what is given of a \
            tap that is there and keeps the rest. The domain's other taps stay. Running and persistent definition are read, \
            changed and written each for itself.
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
        abstract: "Removes taps from a domain's metadata.")

    @Argument(help: "The domain, by name, UUID or number.", completion: DomainCompletion.kind)
    var domain: String

    @Argument(help: "The taps to remove.", completion: NameCompletion.taps)
    var names: [String] = []

    @Flag(help: "All of the domain's taps.")
    var all = false

    @OptionGroup var options: EditOptions

    func validate() throws {
        if all, !names.isEmpty { throw ValidationError("--all is instead of names") }
        if !all, names.isEmpty { throw ValidationError("name the taps to remove, or use --all") }
    }

    func run() async throws {
        try await options.run(.unset(names: names, all: all), domain: domain)
    }
}

/// What `set` and `unset` have in common.
///
/// The path options are those of every subcommand; only `--config` has a second meaning here, see `ArgumentNormaliser`.
struct EditOptions: ParsableArguments {
    @Flag(name: .customLong("live"), help: "Change the running domain only.")
    var changesLive = false

    @Flag(
        name: .customLong("config"),
        help: "Change the persistent definition only; with --live both. Default: whatever there is of the two.")
    var changesConfig = false

    @Flag(name: .customLong("current"), help: "Change the running domain if it runs, else the persistent definition.")
    var changesCurrent = false

    @Flag(help: "Write over metadata that is invalid, and write what this host would refuse.")
    var force = false

    @Option(help: ArgumentHelp("The host's configuration; also --config=FILE.", valueName: "file"), completion: .file())
    var configFile = HostPaths.configuration

    @OptionGroup var places: PlaceOptions

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

    /// Does the change and says what was done.
    func run(_ change: MetadataEdit.Change, domain: String) async throws {
        let configuration = try configuration(for: change)
        let uri = places.connect ?? configuration?.libvirtURI
        var host = Self.isLocal(LibvirtURI.effective(uri)) ? configuration.map { ThisHost($0, bpffs: places.bpffs).state } : nil
        do {
            let store = try await LibvirtMetadataEditor(uri: uri)
            if case .set(let options) = change, var known = host, SensorLookup.isNeeded(known.configuration, for: options.to) {
                do {
                    try await SensorLookup(store).complete(&known, for: options.to)
                } catch let error as MetadataEditError {
                    // Then it is left open, as the daemon's business.
                    Output.warn("where the sensor VM is was not found out: \("\(error)".printable)")
                }
                host = known
            }
            let report = try await MetadataEditor(store: store, host: host, filters: .system, force: force)
                .run(change, domain: domain, choices: choices)
            let expectation = Self.isLocal(uri) ? report.expectation : nil
            // What a daemon says of the tap is not said twice.
            let awaited = report.warnings.filter { expectation != nil && report.passing[$0] != nil }
            for line in report.warnings where !awaited.contains(line) { Output.warn(line) }
            if case .set(let options) = change, options.required == true, host != nil, !HookInstallation.isInstalled() {
                Output.warn(
                    "required=\"yes\" cannot hold here without the hook: \(HookInstallation.path) is missing or not executable (virt-tap doctor)"
                )
            }
            try Output.write(report.done.map { $0 + "\n" }.joined())
            if let expectation { try await tell(expectation, awaited.map { ($0, report.passing[$0]) }) }
        } catch let error as MetadataEditError {
            throw CommandFailure(.failure, "\(error)".printable)
        }
    }

    /// The one that the domain's taps are checked against; `nil`: they are not.
    private func configuration(for change: MetadataEdit.Change) throws(CommandFailure) -> HostConfiguration? {
        do {
            return try ConfigurationFile(path: configFile).load()
        } catch {
            guard case .set = change, Self.isLocal(LibvirtURI.effective(places.connect)) else { return nil }
            // Whoever may change domains and not read the configuration has to leave that to the daemon.
            let isUnreadable = access(configFile, F_OK) == 0 && access(configFile, R_OK) != 0
            guard force || isUnreadable else {
                throw CommandFailure(
                    .configuration,
                    lines: error.lines + [
                        "nothing was changed: the tap cannot be checked against this host's configuration; correct that, or --force writes it unchecked"
                    ])
            }
            for line in error.lines { Output.warn(line) }
            Output.warn("so the tap is not checked against this host's configuration")
            return nil
        }
    }

    /// What is written is written, whatever becomes of it.
    /// - Parameter awaited: warnings that are left out where the answer gives their reason.
    /// - Throws: `unhealthy` when the tap was seen not to work.
    private func tell(_ expectation: TapExpectation, _ awaited: [(line: String, reason: Reason?)]) async throws {
        let reader = StatusReader(directory: RuntimeDirectory(places.runtimeDir), bpffs: places.bpffs, configPath: configFile)
        let echo = await DaemonEcho.of(expectation) { patience throws(ControlError) in try reader.ask(within: patience) }
        for (line, reason) in awaited where reason.map({ echo.warning?.contains($0.rawValue) == true }) != true { Output.warn(line) }
        if let line = echo.done { try Output.write(line + "\n") }
        if let line = echo.warning { Output.warn(line) }
        if echo.isUnhealthy { throw CommandFailure(.unhealthy, lines: [expectation.consolation].compactMap { $0 }) }
    }

    /// Whether the domain is on this host, so that its configuration counts: no host name between `//` and the path.
    static func isLocal(_ uri: String?) -> Bool {
        guard let uri, let slashes = uri.firstRange(of: "://") else { return true }
        return uri[slashes.upperBound...].first.map { $0 == "/" } ?? true
    }
}
