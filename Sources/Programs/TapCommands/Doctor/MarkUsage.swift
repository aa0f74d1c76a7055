// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

/// Asks those of this host's tools that are installed who else uses our mark, and changes nothing.
enum MarkUsage {
    struct Command: Hashable {
        var name: String
        var arguments: [String]
        var form: MarkReading.Form
        /// Of its output, in bytes. A host has few rules, and may have many flows.
        var maximum = 4 << 20

        /// As it is typed.
        var text: String { ([name] + arguments).joined(separator: " ") }
    }

    static let commands: [Command] = [
        Command(name: "ip", arguments: ["rule", "show"], form: .words),
        Command(name: "ip", arguments: ["-6", "rule", "show"], form: .words),
        Command(name: "nft", arguments: ["list", "ruleset"], form: .nft),
        Command(name: "iptables-save", arguments: [], form: .words),
        Command(name: "ip6tables-save", arguments: [], form: .words),
        Command(name: "iptables-legacy-save", arguments: [], form: .words),
        Command(name: "ip6tables-legacy-save", arguments: [], form: .words),
        Command(name: "ebtables-save", arguments: [], form: .words),
        Command(name: "ipset", arguments: ["save"], form: .words),
        Command(name: "tc", arguments: ["actions", "list", "action", "skbedit"], form: .words),
        Command(name: "tc", arguments: ["actions", "list", "action", "connmark"], form: .words),
        // Without their keys.
        Command(name: "ip", arguments: ["xfrm", "state", "list", "nokeys"], form: .words),
        Command(name: "ip", arguments: ["xfrm", "policy", "list"], form: .words),
        // Tunnels that look for their route with a mark.
        Command(name: "ip", arguments: ["-details", "link", "show"], form: .words),
        Command(name: "wg", arguments: ["show", "all", "fwmark"], form: .wireGuard),
    ]

    /// What others use of `mark`, each line behind the command that printed it; `nil`: not one of the tools answers.
    static func find(_ mark: PacketMark, ask: (Command) -> String? = output) -> [String]? {
        var isAnswered = false
        var lines: [String] = []
        var isRestored = false
        func look(_ command: Command) {
            guard let text = ask(command) else { return }
            isAnswered = true
            for line in MarkReading.lines(of: text, in: command.form, using: mark) { lines.append("\(command.text): \(line)") }
            isRestored = isRestored || MarkReading.restoresConnectionMarks(text, in: command.form)
        }
        commands.forEach(look)
        let bridges = ask(Command(name: "ovs-vsctl", arguments: ["--timeout=2", "list-br"], form: .words)) ?? ""
        for bridge in bridges.split(separator: "\n") {
            look(Command(name: "ovs-ofctl", arguments: ["dump-flows", String(bridge)], form: .openFlow, maximum: 64 << 20))
        }
        // Of connections there may be a million: only those with our mark are listed, and only where packets get their connection's.
        if isRestored { look(Command(name: "conntrack", arguments: ["-L", "--mark", mark.description], form: .connections)) }
        guard isAnswered else { return nil }
        var seen: Set<String> = []
        return lines.filter { seen.insert($0).inserted }
    }

    private static func output(_ command: Command) -> String? {
        ToolOutput.of(command.name, command.arguments, maximum: command.maximum)
    }
}

/// Finds the marks in what administrators' tools print, and those among them that are ours.
enum MarkReading {
    enum Form: Hashable {
        /// A word such as `fwmark` or `--set-xmark`, and behind it a mark: ip, iptables-save, ebtables-save, ipset, tc.
        case words
        case nft
        /// The flows of Open vSwitch.
        case openFlow
        case wireGuard
        /// Of conntrack, asked for those with our mark.
        case connections
    }

    /// A mark that a rule looks for, or gives.
    private struct Use {
        var value: UInt32
        var mask: UInt32 = .max
        /// The end of a range that begins with the value.
        var last: UInt32?
        var isGiven = false

        func concerns(_ mark: PacketMark) -> Bool {
            if let last, (min(value, last)...max(value, last)).contains(mark.value) { return true }
            return isGiven ? mark.isCarried(by: value) : mark.collides(with: value, mask)
        }
    }

    static func lines(of text: String, in form: Form, using mark: PacketMark) -> [String] {
        var block = Block()
        return text.split(separator: "\n").compactMap { line in
            let uses =
                switch form {
                case .words: words(line)
                case .nft: block.uses(in: line)
                case .openFlow: flow(line)
                case .wireGuard: numbers(line).map { Use(value: $0.0) }
                case .connections: line.contains("mark=") ? [Use(value: mark.value)] : []
                }
            return uses.contains { $0.concerns(mark) } ? shortened(line) : nil
        }
    }

    /// Whether packets are given the mark of their connection.
    static func restoresConnectionMarks(_ text: String, in form: Form) -> Bool {
        switch form {
        case .words: text.contains("--restore-mark") || text.contains(": connmark")
        case .nft: text.contains("meta mark set ct mark")
        case .openFlow, .wireGuard, .connections: false
        }
    }

    private static func shortened(_ line: Substring) -> String {
        let text = line.drop { $0 == " " || $0 == "\t" }
        return text.count > 200 ? "\(text.prefix(200))…" : String(text)
    }

    // MARK: Words

    private static let looking: Set<String> = ["--mark", "fwmark", "mark"]
    private static let giving: Set<String> = [
        "--set-mark", "--set-xmark", "--or-mark", "--tproxy-mark", "--mark-set", "--mark-or", "--mark-xor", "output-mark", "skbmark",
    ]

    private static func words(_ line: Substring) -> [Use] {
        let tokens = withoutComments(line).split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        return tokens.indices.dropLast().flatMap { index -> [Use] in
            let isGiven = giving.contains(tokens[index]) || (tokens[index] == "mark" && tokens.prefix(index).contains("skbedit"))
            guard isGiven || looking.contains(tokens[index]), let (value, mask) = number(tokens[index + 1]) else { return [] }
            return [Use(value: value, mask: mask, isGiven: isGiven)]
        }
    }

    /// Without what iptables-save prints of comments, in quotes where they have spaces.
    private static func withoutComments(_ line: Substring) -> String {
        var isQuoted = false
        var text = ""
        for character in line {
            if character == "\"" { isQuoted.toggle() } else if !isQuoted { text.append(character) }
        }
        let parts = text.split(separator: " ", omittingEmptySubsequences: true)
        return parts.indices.filter { $0 == 0 || parts[$0 - 1] != "--comment" }.map { String(parts[$0]) }.joined(separator: " ")
    }

    // MARK: nft

    /// A map or set, whose elements are marks when its type says so.
    private struct Block {
        private var isOfMarks = false

        mutating func uses(in line: Substring) -> [Use] {
            let tokens = line.split(whereSeparator: { " \t,".contains($0) }).map(String.init)
            guard let first = tokens.first else { return [] }
            if first == "}" { isOfMarks = false }
            if first == "type" || first == "typeof" { isOfMarks = tokens.contains("mark") && !tokens.contains("hook") }
            if isOfMarks { return MarkReading.marks(tokens[...], isGiven: false) }
            guard let mark = tokens.firstIndex(of: "mark") else { return [] }
            let end = tokens[mark...].firstIndex(of: "comment") ?? tokens.endIndex
            return MarkReading.marks(tokens[mark..<end], isGiven: tokens[mark..<end].contains("set"))
        }
    }

    /// All marks of a rule's expressions, or of elements: nft writes them with eight digits.
    private static func marks(_ tokens: ArraySlice<String>, isGiven: Bool) -> [Use] {
        var uses: [Use] = []
        var mask: UInt32 = .max
        for index in tokens.indices {
            let before = index > tokens.startIndex ? tokens[index - 1] : ""
            // `jhash ip saddr mod 16 offset 8192`
            if before == "mod", let count = UInt32(tokens[index]), count > 0 {
                let next = index + 2 < tokens.endIndex && tokens[index + 1] == "offset" ? UInt32(tokens[index + 2]) : nil
                let offset = next ?? 0
                uses.append(Use(value: offset, last: offset &+ (count - 1), isGiven: isGiven))
            }
            let ends = tokens[index].split(separator: "-", maxSplits: 1)
            guard ends.allSatisfy({ $0.hasPrefix("0x") && $0.utf8.count == 10 }), let value = ends.first.flatMap(plain) else { continue }
            if before == "&" {
                mask = value
            } else if before == "!=", value == 0 {
                uses.append(Use(value: mask, mask: mask))
                mask = .max
            } else {
                uses.append(Use(value: value, mask: mask, last: ends.count == 2 ? plain(ends[1]) : nil, isGiven: isGiven))
                mask = .max
            }
        }
        return uses
    }

    // MARK: Open vSwitch

    private static func flow(_ line: Substring) -> [Use] {
        line.split(whereSeparator: { ", ".contains($0) }).flatMap { token -> [Use] in
            if token.hasPrefix("pkt_mark=") {
                return number(String(token.dropFirst("pkt_mark=".count))).map { [Use(value: $0.0, mask: $0.1)] } ?? []
            }
            guard let arrow = token.firstRange(of: "->"), let colon = token[..<arrow.lowerBound].lastIndex(of: ":"),
                let (value, mask) = number(String(token[token.index(after: colon)..<arrow.lowerBound]))
            else { return [] }
            let field = token[arrow.upperBound...]
            if field.hasPrefix("pkt_mark") { return [Use(value: value & mask, isGiven: true)] }
            guard field.hasPrefix("NXM_NX_PKT_MARK[") else { return [] }
            // The bits that it is put into: `[]`, `[13]`, `[8..15]`.
            let bits = field.drop { $0 != "[" }.dropFirst().prefix { $0.isNumber }
            return [Use(value: value << (UInt32(bits) ?? 0), isGiven: true)]
        }
    }

    // MARK: Numbers

    private static func numbers(_ line: Substring) -> [(UInt32, UInt32)] {
        line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().compactMap { number(String($0)) }
    }

    /// `0x2000`, `8192`, `0x2000/0x2000`.
    private static func number(_ text: String) -> (UInt32, UInt32)? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first.flatMap(plain), parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return (first, .max) }
        return plain(parts[1]).map { (first, $0) }
    }

    private static func plain(_ text: Substring) -> UInt32? {
        text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
    }
}

/// What an administrator's tool prints, for what has no better source.
enum ToolOutput {
    static let defaultMaximum = 4 << 20
    private static let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]

    /// Standard output of `name`, run without a shell, its errors thrown away.
    /// - Parameter maximum: bytes.
    /// - Returns: `nil` when there is no such tool, it failed, said more than that, or took longer than `time`.
    static func of(
        _ name: String, _ arguments: [String], within time: Duration = .seconds(3), maximum: Int = defaultMaximum
    ) -> String? {
        let candidates: [String] = places.map { "\($0)/\(name)" }
        guard let path = candidates.first(where: { access($0, X_OK) == 0 }) else { return nil }
        return run(path, arguments, within: time, maximum: maximum)
    }

    /// The same of the program at a path.
    static func run(_ path: String, _ arguments: [String], within time: Duration, maximum: Int = defaultMaximum) -> String? {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var child = pid_t()
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("LC_ALL=C"), nil]
        defer { free(environment[0]) }
        guard posix_spawn(&child, path, &actions, nil, &argv, &environment) == 0 else {
            close(ends[1])
            return nil
        }
        close(ends[1])
        let text = read(ends[0], before: Deadline(in: time), maximum)
        if text == nil { kill(child, SIGKILL) }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        return status == 0 ? text : nil
    }

    private static func read(_ descriptor: Int32, before deadline: Deadline, _ maximum: Int) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < maximum {
            guard !deadline.hasPassed else { return nil }
            var waited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&waited, 1, deadline.pollMilliseconds)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return nil }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
        return nil
    }
}
