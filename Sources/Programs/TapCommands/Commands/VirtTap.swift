// SPDX-License-Identifier: LGPL-2.1-or-later

public import ArgumentParser
import Glibc
import TapModel
import TapSystem

/// `virt-tap`.
public struct VirtTap: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "virt-tap",
        abstract: "Says and changes which traffic of libvirt's guests is copied, and where to.",
        discussion: """
            A name that begins with a dash goes behind --: virt-tap status -- --help

            Exit codes: 0 done; 1 it failed or is not allowed; 2 (status --check, set) a tap does not work; 3 (status, \
            reload) the daemon is not running; 10 (hook) a required tap cannot be placed; 64 wrong usage; 78 bad configuration.
            """,
        version: virtTapVersion,
        subcommands: [
            StatusCommand.self, ListCommand.self, CheckCommand.self, SetCommand.self, UnsetCommand.self, DoctorCommand.self,
            ReloadCommand.self, PurgeCommand.self, TestCommand.self, HookCommand.self,
        ])

    public init() {}

    /// Does what the command line says, and ends the process.
    public static func start(_ arguments: [String] = Array(CommandLine.arguments.dropFirst())) async -> Never {
        do {
            if let failure = misuse(arguments) { throw failure }
            var command = try parseAsRoot(ArgumentNormaliser.normalised(arguments))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            ProcessEnd.now(EXIT_SUCCESS)
        } catch let failure as CommandFailure {
            for line in failure.lines {
                if failure.code == .configuration { Output.diagnose(line) } else { Output.complain(line) }
            }
            ProcessEnd.now(failure.code.rawValue)
        } catch {
            ProcessEnd.now(exitCode(for: error).rawValue, saying: fullMessage(for: error))
        }
    }

    /// What is wrong with a command line that the parser would take, or would refuse in words that do not help.
    static func misuse(_ arguments: [String]) -> CommandFailure? {
        if let option = ArgumentNormaliser.repeated(arguments) {
            return CommandFailure(.usage, "\(option) is given twice: a tap has one")
        }
        let names = configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
        let named = arguments.first == "help" ? arguments.dropFirst().first : arguments.first
        guard let named, !named.hasPrefix("-"), !names.contains(named) else { return nil }
        let nearest = NearestName.of(named, among: names)
        return CommandFailure(
            .usage,
            "there is no subcommand \(named.printable)"
                + (nearest.map { "; did you mean \($0)?" } ?? ": there are \(names.joined(separator: ", "))"))
    }
}
