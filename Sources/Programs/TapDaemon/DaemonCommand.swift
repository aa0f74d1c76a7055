// SPDX-License-Identifier: LGPL-2.1-or-later

public import ArgumentParser
import Glibc
import Logging
import TapHost
import TapModel
import TapSystem

/// `virt-tapd`.
public struct DaemonCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "virt-tapd",
        abstract: "Copies the traffic of libvirt's guests as their metadata asks for.",
        discussion: """
            Runs in the foreground and logs to standard error. SIGHUP reloads the configuration; SIGTERM ends the daemon and \
            leaves the taps copying (`virt-tap purge` ends those).
            """,
        version: virtTapVersion)

    @Option(help: "The libvirt to listen to; default: the configuration's, else LIBVIRT_DEFAULT_URI, else qemu:///system.")
    var connect: String?

    @Option(help: "The host's configuration.")
    var config = HostPaths.configuration

    @Option(help: "Where the control socket is.")
    var runtimeDir = HostPaths.runtimeDirectory

    @Option(help: "The BPF file system that holds the pins.")
    var bpffs = HostPaths.bpffs

    @Option(help: "How much to log: trace, debug, info, notice, warning, error or critical.")
    var logLevel = Logger.Level.info

    public init() {}

    /// Does what the command line says, and ends the process.
    public static func start() async -> Never {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            ProcessEnd.now(EXIT_SUCCESS)
        } catch {
            ProcessEnd.now(exitCode(for: error).rawValue, saying: fullMessage(for: error))
        }
    }

    public func run() async throws {
        // A reload that is asked for before anybody listens for it is no reason to end.
        signal(SIGHUP, SIG_IGN)
        LoggingSystem.bootstrap { StandardErrorLog(label: $0) }
        var logger = Logger(label: "virt-tapd")
        logger.logLevel = logLevel
        let daemon = Daemon(
            file: ConfigurationFile(path: config), connect: connect, runtimeDirectory: runtimeDir, bpffs: bpffs, logger: logger)
        do {
            try await daemon.run()
        } catch {
            WholeWrite.write("virt-tapd: \("\(error)".inert)\n", to: STDERR_FILENO)
            throw ExitCode.failure
        }
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
