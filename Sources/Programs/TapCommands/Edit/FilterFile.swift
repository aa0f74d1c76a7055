// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Reads a filter from a file as tcpdump's -F does: its lines are one expression, and what is behind a `#` is a comment.
enum FilterFile {
    /// - Parameter path: `-` is standard input.
    static func read(_ path: String) throws(CommandFailure) -> String {
        let file = try DocumentFile.read(path)
        guard let text = String(validating: file.bytes, as: UTF8.self) else {
            throw CommandFailure(.failure, "\(file.name): it is no text in UTF-8")
        }
        return try expression(text, of: file.name)
    }

    /// The expression in one line.
    ///
    /// libpcap's "syntax error" says nothing of where, so two lines that nothing joins are told by their numbers.
    static func expression(_ text: String, of name: String) throws(CommandFailure) -> String {
        // Windows' editors put a mark of the byte order in front.
        let lines = text.drop { $0 == "\u{FEFF}" }.split(omittingEmptySubsequences: false) { $0.isNewline }
        var parts: [(number: Int, text: String)] = []
        for (index, line) in lines.enumerated() {
            let words = line.prefix { $0 != "#" }.split { $0.isWhitespace }
            guard !words.isEmpty else { continue }
            let part = (number: index + 1, text: words.joined(separator: " "))
            if let last = parts.last, isComplete(last.text), begins(part.text) {
                throw CommandFailure(
                    .failure,
                    "\(name): nothing joins line \(last.number) (\(last.text.printable)) and line \(part.number) (\(part.text.printable)): "
                        + "all lines are one expression, so write && or || (and, or) between them")
            }
            parts.append(part)
        }
        guard !parts.isEmpty else { throw CommandFailure(.failure, "\(name): there is no filter in it, only blanks and comments") }
        return parts.map(\.text).joined(separator: " ")
    }

    /// Whether a line ends with an address, a number or a parenthesis, behind which only an operator can stand.
    private static func isComplete(_ line: String) -> Bool {
        guard let last = line.split(separator: " ").last else { return false }
        return last.last == ")" || (last.contains { $0.isNumber } && last.allSatisfy { $0.isHexDigit || ".:/-".contains($0) })
    }

    private static let beginning: Set<Substring> = [
        "not", "host", "net", "port", "portrange", "src", "dst", "ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "vlan",
        "proto",
    ]

    /// Whether a line begins with what begins a term.
    private static func begins(_ line: String) -> Bool {
        line.first == "(" || (line.first == "!" && !line.hasPrefix("!="))
            || line.split(separator: " ").first.map(beginning.contains) == true
    }
}
