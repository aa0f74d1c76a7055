// SPDX-License-Identifier: LGPL-2.1-or-later

public import ArgumentParser
import Glibc
import TapModel
import TapSystem

/// `virt-tap`.
public struct VirtTap: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "virt-tap",
        abstract: "Show and change the taps of libvirt domains: which traffic is copied, and where to.",
        discussion: """
            A name that begins with a dash goes behind --: virt-tap status -- --help

            Exit codes: 0 success; 1 failed or not allowed; 2 (status --check, set) a tap does not work; 3 (status, reload) \
            virt-tapd is not running; 10 (hook) a required tap is not in place; 64 usage error; 78 invalid configuration.
            """,
        version: virtTapVersion,
        subcommands: [
            StatusCommand.self, ListCommand.self, CheckCommand.self, SetCommand.self, UnsetCommand.self, DoctorCommand.self,
            ReloadCommand.self, PurgeCommand.self, TestCommand.self, HookCommand.self,
        ])

    public init() {}

    /// Executes the command line and ends the process.
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
                if failure.code == .configuration { Output.diagnose(line) } else { Output.error(line) }
            }
            ProcessEnd.now(failure.code.rawValue)
        } catch {
            ProcessEnd.now(exitCode(for: error).rawValue, saying: fullMessage(for: error))
        }
    }

    /// A usage error that the parser would not notice, or would report in words that do not help.
    static func misuse(_ arguments: [String]) -> CommandFailure? {
        if let option = ArgumentNormaliser.repeated(arguments) {
            return CommandFailure(.usage, "\(option) is given twice; a tap has only one")
        }
        let names = configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
        let named = arguments.first == "help" ? arguments.dropFirst().first : arguments.first
        guard let named, !named.hasPrefix("-"), !names.contains(named) else { return nil }
        let nearest = NearestName.of(named, among: names)
        return CommandFailure(
            .usage,
            "unknown subcommand \"\(named.printable)\""
                + (nearest.map { "; did you mean \($0)?" } ?? "; the subcommands are \(names.joined(separator: ", "))"))
    }
}

/// Rewrites two forms of the command line that the parser cannot tell apart.
enum ArgumentNormaliser {
    /// - The value of `--watch` is a number behind it, with or without `=`. Anything else behind it is a domain; so is a number in front
    ///   of it or behind `--`.
    /// - With `set` and `unset`, `--config` alone means the persistent definition, as in virsh. `--config=FILE`, and `--config FILE` with a
    ///   slash in FILE, mean the host's configuration as everywhere else: libvirt allows no slash in a domain's name.
    static func normalised(_ arguments: [String]) -> [String] {
        let options = Array(arguments.prefix { $0 != "--" })
        let rest = arguments.dropFirst(options.count)
        let isEdit = options.first == "set" || options.first == "unset"
        var plain: [String] = []
        var skipsNext = false
        for (index, argument) in options.enumerated() {
            if skipsNext {
                skipsNext = false
                continue
            }
            let next = index + 1 < options.count ? options[index + 1] : nil
            switch argument {
            case "--watch":
                skipsNext = next.map(isNumber) == true
                plain.append("--watch=\(skipsNext ? next ?? "" : WatchInterval.standard.description)")
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

    /// An option of `set` that is given twice although a tap has one value of it. The parser would ignore the first.
    static func repeated(_ arguments: [String]) -> String? {
        guard arguments.first == "set" else { return nil }
        let options = arguments.prefix { $0 != "--" }
        return TapOptions.single.first { name in options.count { $0 == name || $0.hasPrefix(name + "=") } > 1 }
    }
}
