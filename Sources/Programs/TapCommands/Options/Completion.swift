// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapControl
import TapHost
import TapModel

/// Completes names of destinations and taps, which only this host knows.
///
/// Somebody waits at the keyboard, so it never waits for long, prints nothing but names, and offers nothing if the user may not read
/// them.
enum NameCompletion {
    /// Completes `--to` with the destinations of this host's configuration.
    static let destinations = CompletionKind.custom { words, index, _ in destinations(CommandWords(words, completing: index)) }
    /// Completes a tap's name with the taps of the domain on the command line.
    static let taps = CompletionKind.custom { words, index, _ in taps(CommandWords(words, completing: index)) }

    /// How long the daemon may take to answer.
    private static let timeout: Duration = .milliseconds(500)

    static func destinations(_ words: CommandWords) -> [String] {
        guard EditOptions.isLocal(words.value(of: "--connect")) else { return [] }
        let configuration = try? ConfigurationFile(path: words.configuration).load()
        return configuration?.destinations.map(\.name.text) ?? []
    }

    static func taps(_ words: CommandWords) -> [String] {
        guard EditOptions.isLocal(words.value(of: "--connect")), let domain = words.operands.first else { return [] }
        let directory = RuntimeDirectory(words.value(of: "--runtime-dir") ?? HostPaths.runtimeDirectory)
        let reader = StatusReader(directory: directory, bpffs: HostPaths.bpffs, configPath: words.configuration)
        guard let document = try? reader.readFromDaemon(within: timeout) else { return [] }
        return names(in: document, of: domain, without: words.operands.dropFirst())
    }

    /// - Parameter chosen: names that are on the command line already.
    static func names(in document: StatusDocument, of domain: String, without chosen: some Sequence<String>) -> [String] {
        let taps = (try? StatusSelection(domains: [domain]).apply(to: document))?.taps ?? []
        // A tap that is in both definitions is offered once.
        let names = Set(taps.map(\.name.text)).subtracting(chosen)
        return names.sorted()
    }
}

/// Completes names of domains, which libvirt knows.
enum DomainCompletion {
    static let kind = CompletionKind.shellCommand("virsh list --all --name 2>/dev/null")
}

/// The words of an unfinished command line, as a shell hands them over for completion. It may be invalid.
struct CommandWords {
    /// The options that have a value. `--config` has one if the word behind it contains a slash: `ArgumentNormaliser`.
    private static let valued = Set(TapOptions.single + ["--interface", "--connect", "--config-file", "--runtime-dir", "--bpffs"])

    /// The words behind the subcommand that are neither options nor values of options.
    private(set) var operands: [String] = []
    private var values: [String: String] = [:]

    /// - Parameters:
    ///   - words: with the program's name first, and with quotes as typed.
    ///   - index: the position of the word that is being completed, which is ignored.
    init(_ words: [String], completing index: Int? = nil) {
        var words = words
        if let index, words.indices.contains(index) { words[index] = "" }
        var rest = words.dropFirst(2).map(Self.unquoted)[...]
        var areOptions = true
        while let word = rest.popFirst() {
            if areOptions, word == "--" {
                areOptions = false
            } else if areOptions, word.hasPrefix("-") {
                if rest.first == "=" {
                    // bash splits `--config=FILE` into three words.
                    values[word] = rest.dropFirst().first
                    rest = rest.dropFirst(2)
                } else if let equals = word.firstIndex(of: "=") {
                    values[String(word[..<equals])] = String(word[word.index(after: equals)...])
                } else if Self.valued.contains(word) || word == "--config" && rest.first?.contains("/") == true {
                    values[word] = rest.popFirst()
                }
            } else if !word.isEmpty {
                operands.append(word)
            }
        }
    }

    private static func unquoted(_ word: String) -> String {
        guard let quote = word.first, quote == "'" || quote == "\"", word.count > 1, word.last == quote else { return word }
        return String(word.dropFirst().dropLast())
    }

    func value(of option: String) -> String? { values[option] }

    /// The path of the host's configuration: the one on the command line, else the default.
    var configuration: String { value(of: "--config") ?? value(of: "--config-file") ?? HostPaths.configuration }
}
