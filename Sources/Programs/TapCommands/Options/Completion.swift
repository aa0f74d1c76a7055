// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapControl
import TapHost
import TapModel

/// What a shell offers behind a word that only this host knows: destinations and taps.
///
/// Somebody waits with a finger on the key, so it says nothing but names, asks no one for long, and offers nothing where it may not
/// look. Of names from outside only those are offered that a shell takes as they are.
enum NameCompletion {
    /// The destinations of this host's configuration, for `--to`.
    static let destinations = CompletionKind.custom { words, index, _ in destinations(CommandWords(words, completing: index)) }
    /// The taps of the domain that the words name.
    static let taps = CompletionKind.custom { words, index, _ in taps(CommandWords(words, completing: index)) }

    /// How long the daemon has.
    private static let patience: Duration = .milliseconds(500)

    static func destinations(_ words: CommandWords) -> [String] {
        guard EditOptions.isLocal(words.value(of: "--connect")) else { return [] }
        let configuration = try? ConfigurationFile(path: words.configuration).load()
        return configuration?.destinations.map(\.name.text) ?? []
    }

    static func taps(_ words: CommandWords) -> [String] {
        guard EditOptions.isLocal(words.value(of: "--connect")), let domain = words.operands.first else { return [] }
        let directory = RuntimeDirectory(words.value(of: "--runtime-dir") ?? HostPaths.runtimeDirectory)
        let reader = StatusReader(directory: directory, bpffs: HostPaths.bpffs, configPath: words.configuration)
        guard let document = try? reader.ask(within: patience) else { return [] }
        return names(in: document, of: domain, without: words.operands.dropFirst())
    }

    /// - Parameter chosen: those that stand there already.
    static func names(in document: StatusDocument, of domain: String, without chosen: some Sequence<String>) -> [String] {
        let taps = (try? StatusSelection(domains: [domain]).apply(to: document))?.taps ?? []
        // One that is in both definitions is one.
        let names = Set(taps.map(\.name.text)).subtracting(chosen)
        return names.sorted()
    }
}

/// How a shell completes a domain's name: only libvirt knows them.
enum DomainCompletion {
    static let kind = CompletionKind.shellCommand("virsh list --all --name 2>/dev/null")
}

/// The words of a command line that is being written, as a shell hands them over: it need not be whole, nor right.
struct CommandWords {
    /// The options that take a word for themselves. `--config` does with a slash in that word: `ArgumentNormaliser`.
    private static let valued = Set(TapOptions.single + ["--interface", "--connect", "--config-file", "--runtime-dir", "--bpffs"])

    /// Behind the subcommand: what is neither an option nor an option's value.
    private(set) var operands: [String] = []
    private var values: [String: String] = [:]

    /// - Parameters:
    ///   - words: the program's name first; quotes as they were typed.
    ///   - index: the word that is being completed, which says nothing yet.
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
                    // bash makes three words of `--config=FILE`.
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

    /// The host's configuration that the words name, or the one in its place.
    var configuration: String { value(of: "--config") ?? value(of: "--config-file") ?? HostPaths.configuration }
}
