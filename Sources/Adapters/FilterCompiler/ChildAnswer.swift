// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// What a child writes on its standard output: a few lines, the last of which tells that it is whole.
struct ChildAnswer: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        /// The instructions of `CompiledFilter`, not checked yet.
        case program([UInt64])
        /// libpcap's words.
        case refused(String)
        /// It could not get to work.
        case broken(errno: Int32, step: String)
    }

    var handle: HandleKind
    var content: Content

    init(handle: HandleKind, content: Content) {
        self.handle = handle
        self.content = content
    }

    private static let head = "virt-tap-filter 1"
    private static let end = "end"

    var text: String {
        var lines = [Self.head]
        switch handle {
        case .live: lines.append("live")
        case .dead(let status, let words): lines.append("dead \(status) \(Self.line(words))")
        }
        switch content {
        case .program(let words):
            lines.append("program \(words.count)")
            lines += words.map { String($0, radix: 16) }
        case .refused(let words): lines.append("refused \(Self.line(words))")
        case .broken(let code, let step): lines.append("broken \(code) \(Self.line(step))")
        }
        return lines.map { $0 + "\n" }.joined() + Self.end + "\n"
    }

    /// Reads what a child wrote, who may have been taken over by the expression: nothing but what `text` makes is taken.
    init?(_ bytes: [UInt8]) {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
        guard lines.popLast() == "", lines.popLast() == Self.end[...], lines.popFirst() == Self.head[...], let handle = lines.popFirst(),
            let content = lines.popFirst()
        else { return nil }
        if handle == "live" {
            self.handle = .live
        } else if let (status, words) = Self.numbered(handle, "dead") {
            self.handle = .dead(status, words)
        } else {
            return nil
        }
        if content.hasPrefix("refused ") {
            self.content = .refused(Self.line(String(content.dropFirst("refused ".count))))
        } else if let (code, step) = Self.numbered(content, "broken") {
            self.content = .broken(errno: code, step: step)
        } else if content.hasPrefix("program "), let count = Int(content.dropFirst("program ".count)), count == lines.count {
            var words: [UInt64] = []
            for line in lines {
                guard let word = UInt64(line, radix: 16) else { return nil }
                words.append(word)
            }
            self.content = .program(words)
            return
        } else {
            return nil
        }
        guard lines.isEmpty else { return nil }
    }

    /// `KEYWORD NUMBER WORDS`.
    private static func numbered(_ line: Substring, _ keyword: String) -> (Int32, String)? {
        let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == keyword[...], let number = Int32(parts[1]) else { return nil }
        return (number, Self.line(String(parts[2])))
    }

    /// What a stranger wrote, on one line and not too long.
    private static func line(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(512).map { $0.value < 32 ? " " : $0 }))
    }
}
