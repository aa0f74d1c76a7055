// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Foundation
import Testing

@testable import TapCommands

/// The help of the command line is the one text about subcommands and options. virt-tap.1 holds it between
/// `.\" help of NAME` and `.\" end of help`, and the rest of the page is written by hand. `make man` writes the help into the page.
@Suite("The man page and the reference say what the help says")
struct ManPageTests {
    private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    private static let page = repository.appendingPathComponent("packaging/man/virt-tap.1")
    /// The options of every subcommand, which have a block of their own.
    private static let common = ["connect", "config", "runtime-dir", "bpffs"]

    @Test("virt-tap.1 holds the help of every subcommand and option")
    func page() throws {
        let written = try String(contentsOf: Self.page, encoding: .utf8)
        let expected = try Self.page(from: written)
        if ProcessInfo.processInfo.environment["VT_WRITE_MAN"] != nil {
            try expected.write(to: Self.page, atomically: true, encoding: .utf8)
        } else {
            #expect(written == expected, "run `make man` and commit packaging/man/virt-tap.1")
        }
    }

    @Test("The reference names every subcommand and option")
    func reference() throws {
        let folder = Self.repository.appendingPathComponent("docs")
        let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)?.compactMap { $0 as? URL } ?? []
        let text = try files.filter { $0.pathExtension == "md" }.map { try String(contentsOf: $0, encoding: .utf8) }.joined()
        let words = Set(text.split { !($0.isLetter || $0.isNumber || $0 == "-") })
        for command in try Self.commands() {
            #expect(text.contains("virt-tap \(command.commandName)"), "\(command.commandName)")
            for name in command.arguments.flatMap(\.longNames) { #expect(words.contains("--\(name)"), "\(command.commandName) --\(name)") }
        }
    }

    /// The page with the help of now in its blocks.
    private static func page(from text: String) throws -> String {
        let commands = try commands()
        var missing = Set(commands.map(\.commandName) + ["every subcommand"])
        var lines: [String] = []
        var isInBlock = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line == #".\" end of help"# { isInBlock = false }
            if !isInBlock { lines.append(line) }
            guard line.hasPrefix(#".\" help of "#) else { continue }
            isInBlock = true
            let name = String(line.dropFirst(#".\" help of "#.count))
            missing.remove(name)
            if let command = commands.first(where: { $0.commandName == name }) {
                lines += block(command)
            } else if let status = commands.first(where: { $0.commandName == "status" }) {
                lines += list(status.arguments.filter { common.contains($0.longNames.first ?? "") })
            }
        }
        #expect(missing.isEmpty, "the page has no block for \(missing.sorted().joined(separator: ", "))")
        return lines.joined(separator: "\n")
    }

    private static func block(_ command: Help.Command) -> [String] {
        let positionals = command.arguments.filter { $0.kind == "positional" && $0.longNames.isEmpty }
        let synopsis = positionals.map { argument in
            let words = "Ar \(argument.valueName ?? "")" + (argument.isRepeating ? " ..." : "")
            return argument.isOptional ? " Op \(words)" : " \(words)"
        }
        let options = command.arguments.filter { !$0.longNames.isEmpty && !common.contains($0.longNames[0]) || isOwnConfig($0) }
        return [
            ".It Cm \(command.commandName)\(command.commandName == "hook" ? " Fl -" : "")\(synopsis.joined())",
            plain(command.abstract ?? ""),
        ]
            + list(options)
    }

    /// `set` and `unset` have a flag `--config`, which is not the path option of that name.
    private static func isOwnConfig(_ argument: Help.Argument) -> Bool { argument.longNames == ["config"] && argument.kind == "flag" }

    private static func list(_ arguments: [Help.Argument]) -> [String] {
        guard !arguments.isEmpty else { return [] }
        var lines = [".Bl -tag -width Ds"]
        for argument in arguments {
            // A flag and its inversion, such as --once and --no-once, have one help.
            let same = arguments.filter { $0.abstract == argument.abstract }
            if same.contains(where: { argument.longNames == ["no-\($0.longNames[0])"] }) { continue }
            let names = same.flatMap(\.longNames).map { "Fl -\($0)" }.joined(separator: " , ")
            lines.append(".It \(names)" + (argument.kind == "option" ? " Ar \(argument.valueName ?? "")" : ""))
            lines.append(plain(argument.abstract ?? ""))
            if argument.kind == "option", let value = argument.defaultValue, value.hasPrefix("/") {
                lines += ["Default:", ".Pa \(value) ."]
            }
        }
        return lines + [".El"]
    }

    /// A line of text for mdoc(7).
    private static func plain(_ text: String) -> String {
        let escaped = text.replacingOccurrences(of: #"\"#, with: #"\e"#)
        return escaped.hasPrefix(".") || escaped.hasPrefix("'") ? #"\&"# + escaped : escaped
    }

    private static func commands() throws -> [Help.Command] {
        let help = try JSONDecoder().decode(Help.self, from: Data(VirtTap._dumpHelp().utf8))
        return (help.command.subcommands ?? []).filter { $0.commandName != "help" }
    }

    /// What the parser says of itself with `--experimental-dump-help`.
    private struct Help: Decodable {
        struct Command: Decodable {
            var commandName: String
            var abstract: String?
            var subcommands: [Command]?
            private var allArguments: [Argument]?

            private enum CodingKeys: String, CodingKey {
                case commandName, abstract, subcommands
                case allArguments = "arguments"
            }

            var arguments: [Argument] { (allArguments ?? []).filter { $0.longNames != ["help"] && $0.longNames != ["version"] } }
        }

        struct Argument: Decodable {
            struct Name: Decodable {
                var kind: String
                var name: String
            }

            var kind: String
            var names: [Name]?
            var valueName: String?
            var abstract: String?
            var defaultValue: String?
            var isOptional: Bool
            var isRepeating: Bool

            var longNames: [String] { (names ?? []).filter { $0.kind == "long" }.map(\.name) }
        }

        var command: Command
    }
}
