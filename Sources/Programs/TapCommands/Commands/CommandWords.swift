// SPDX-License-Identifier: LGPL-2.1-or-later

import TapHost

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
