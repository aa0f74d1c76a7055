// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Hypervisor
import TapControl
import TapHost
import TapModel

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

    @Flag(help: "Write over metadata that is invalid, and what this host would refuse.")
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
        var configuration: HostConfiguration?
        do {
            configuration = try ConfigurationFile(path: configFile).load()
        } catch {
            for line in error.lines { Output.complain(line) }
            Output.complain("so the tap is not checked against this host's configuration")
        }
        let uri = places.connect ?? configuration?.libvirtURI
        let host = Self.isLocal(uri) ? configuration.map { ThisHost($0, bpffs: places.bpffs).state } : nil
        do {
            let store = try await LibvirtMetadataEditor(uri: uri)
            let report = try await MetadataEditor(store: store, host: host, force: force).run(change, domain: domain, choices: choices)
            for line in report.warnings { Output.complain(line) }
            try Output.write(report.done.map { $0 + "\n" }.joined())
        } catch let error as MetadataEditError {
            throw CommandFailure(.failure, "\(error)".printable)
        }
    }

    /// Whether the domain is on this host, so that its configuration counts: no host name between `//` and the path.
    static func isLocal(_ uri: String?) -> Bool {
        guard let uri, let slashes = uri.firstRange(of: "://") else { return true }
        return uri[slashes.upperBound...].first.map { $0 == "/" } ?? true
    }
}
