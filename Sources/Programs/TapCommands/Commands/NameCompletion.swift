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
