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

/// Makes two forms of the command line plain that the parser cannot tell apart by itself.
enum ArgumentNormaliser {
    /// - `--watch` takes a number that follows it, with or without `=`. Whatever else follows is a domain; so is a number before it or
    ///   behind `--`.
    /// - With `set` and `unset`, `--config` alone means the persistent definition, as in virsh, while `--config=FILE` and
    ///   `--config FILE`, with a slash in it, mean the host's configuration as everywhere else. libvirt allows no slash
    ///   in a domain's name.
    static func normalised(_ arguments: [String]) -> [String] {
        let options = Array(arguments.prefix { $0 != "--" })
        let rest = arguments.dropFirst(options.count)
        let isEdit = options.first == "set" || options.first == "unset"
        var plain: [String] = []
        var isTaken = false
        for (index, argument) in options.enumerated() {
            if isTaken {
                isTaken = false
                continue
            }
            let next = index + 1 < options.count ? options[index + 1] : nil
            switch argument {
            case "--watch":
                isTaken = next.map(isNumber) == true
                plain.append("--watch=\(isTaken ? next ?? "" : WatchInterval.standard.description)")
            case "--config" where isEdit && next?.contains("/") == true:
                plain.append("--config-file")
            case _ where isEdit && argument.hasPrefix("--config="):
                plain.append("--config-file=" + argument.dropFirst("--config=".count))
            default:
                plain.append(argument)
            }
        }
        return plain + rest
    }

    private static func isNumber(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) } }

    /// An option of `set` that stands there twice where a tap has one value. The parser would take the last.
    static func repeated(_ arguments: [String]) -> String? {
        guard arguments.first == "set" else { return nil }
        let options = arguments.prefix { $0 != "--" }
        return TapOptions.single.first { name in options.count { $0 == name || $0.hasPrefix(name + "=") } > 1 }
    }
}
