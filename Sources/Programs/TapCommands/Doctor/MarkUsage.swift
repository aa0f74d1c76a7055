// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

/// Runs the host's tools that list rules, and finds those rules of other programs that use our mark. Changes nothing.
enum MarkUsage {
    struct Command: Hashable {
        var name: String
        var arguments: [String]
        var format: MarkParser.Format
        /// The most bytes of output that are read. A host has few rules, but may have many flows.
        var maximum = 4 << 20

        /// The command as typed in a shell.
        var text: String { ([name] + arguments).joined(separator: " ") }
    }

    static let commands: [Command] = [
        Command(name: "ip", arguments: ["rule", "show"], format: .words),
        Command(name: "ip", arguments: ["-6", "rule", "show"], format: .words),
        Command(name: "nft", arguments: ["list", "ruleset"], format: .nft),
        Command(name: "iptables-save", arguments: [], format: .words),
        Command(name: "ip6tables-save", arguments: [], format: .words),
        Command(name: "iptables-legacy-save", arguments: [], format: .words),
        Command(name: "ip6tables-legacy-save", arguments: [], format: .words),
        Command(name: "ebtables-save", arguments: [], format: .words),
        Command(name: "ipset", arguments: ["save"], format: .words),
        Command(name: "tc", arguments: ["actions", "list", "action", "skbedit"], format: .words),
        Command(name: "tc", arguments: ["actions", "list", "action", "connmark"], format: .words),
        // Without the keys.
        Command(name: "ip", arguments: ["xfrm", "state", "list", "nokeys"], format: .words),
        Command(name: "ip", arguments: ["xfrm", "policy", "list"], format: .words),
        // Tunnels may look up their route with a mark.
        Command(name: "ip", arguments: ["-details", "link", "show"], format: .words),
        Command(name: "wg", arguments: ["show", "all", "fwmark"], format: .wireGuard),
    ]

    /// Reads the lines of all tools that concern `mark`, each with the command in front; `nil`: no tool answered.
    static func read(_ mark: PacketMark, run: (Command) -> String? = output) -> [String]? {
        var hasAnswer = false
        var lines: [String] = []
        var restoresMarks = false
        func search(_ command: Command) {
            guard let text = run(command) else { return }
            hasAnswer = true
            for line in MarkParser.lines(of: text, in: command.format, using: mark) { lines.append("\(command.text): \(line)") }
            restoresMarks = restoresMarks || MarkParser.restoresConnectionMarks(text, in: command.format)
        }
        commands.forEach(search)
        let bridges = run(Command(name: "ovs-vsctl", arguments: ["--timeout=2", "list-br"], format: .words)) ?? ""
        for bridge in bridges.split(separator: "\n") {
            search(Command(name: "ovs-ofctl", arguments: ["dump-flows", String(bridge)], format: .openFlow, maximum: 64 << 20))
        }
        // There may be a million connections. So only those with our mark are listed, and only if rules copy a connection's mark to packets.
        if restoresMarks { search(Command(name: "conntrack", arguments: ["-L", "--mark", mark.description], format: .connections)) }
        guard hasAnswer else { return nil }
        var seen: Set<String> = []
        return lines.filter { seen.insert($0).inserted }
    }

    private static func output(_ command: Command) -> String? {
        ToolOutput.of(command.name, command.arguments, maximum: command.maximum)
    }
}

/// Finds marks in the output of administrators' tools, and says which of them concern our mark.
enum MarkParser {
    /// The format of a tool's output.
    enum Format: Hashable {
        /// A word such as `fwmark` or `--set-xmark` with a mark behind it: ip, iptables-save, ebtables-save, ipset, tc.
        case words
        case nft
        /// Flows of Open vSwitch.
        case openFlow
        case wireGuard
        /// Connections with our mark, listed by conntrack.
        case connections
    }

    /// A mark that a rule matches or sets.
    private struct Use {
        var value: UInt32
        var mask: UInt32 = .max
        /// The last value of a range that begins with `value`; `nil`: not a range.
        var last: UInt32?
        /// Whether the rule sets the mark.
        var isSet = false

        func concerns(_ mark: PacketMark) -> Bool {
            if let last, (min(value, last)...max(value, last)).contains(mark.value) { return true }
            return isSet ? mark.isCarried(by: value) : mark.collides(with: value, mask)
        }
    }

    /// The lines of a tool's output that use our mark.
    static func lines(of text: String, in format: Format, using mark: PacketMark) -> [String] {
        var block = Block()
        return text.split(separator: "\n").compactMap { line in
            let uses =
                switch format {
                case .words: words(line)
                case .nft: block.uses(in: line)
                case .openFlow: flow(line)
                case .wireGuard: numbers(line).map { Use(value: $0.0) }
                case .connections: line.contains("mark=") ? [Use(value: mark.value)] : []
                }
            return uses.contains { $0.concerns(mark) } ? shortened(line) : nil
        }
    }

    /// Whether a rule copies the mark of a connection to its packets.
    static func restoresConnectionMarks(_ text: String, in format: Format) -> Bool {
        switch format {
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

    /// Words in front of a mark that a rule matches.
    private static let matching: Set<String> = ["--mark", "fwmark", "mark"]
    /// Words in front of a mark that a rule sets.
    private static let setting: Set<String> = [
        "--set-mark", "--set-xmark", "--or-mark", "--tproxy-mark", "--mark-set", "--mark-or", "--mark-xor", "output-mark", "skbmark",
    ]

    private static func words(_ line: Substring) -> [Use] {
        let tokens = withoutComments(line).split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        return tokens.indices.dropLast().flatMap { index -> [Use] in
            let isSet = setting.contains(tokens[index]) || (tokens[index] == "mark" && tokens.prefix(index).contains("skbedit"))
            guard isSet || matching.contains(tokens[index]), let (value, mask) = number(tokens[index + 1]) else { return [] }
            return [Use(value: value, mask: mask, isSet: isSet)]
        }
    }

    /// The line without comments of iptables-save, which are in quotes if they contain spaces.
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

    /// A map or set of nft. Its elements are marks if its type says so.
    private struct Block {
        private var isOfMarks = false

        mutating func uses(in line: Substring) -> [Use] {
            let tokens = line.split(whereSeparator: { " \t,".contains($0) }).map(String.init)
            guard let first = tokens.first else { return [] }
            if first == "}" { isOfMarks = false }
            if first == "type" || first == "typeof" { isOfMarks = tokens.contains("mark") && !tokens.contains("hook") }
            if isOfMarks { return MarkParser.marks(tokens[...], isSet: false) }
            guard let mark = tokens.firstIndex(of: "mark") else { return [] }
            let end = tokens[mark...].firstIndex(of: "comment") ?? tokens.endIndex
            return MarkParser.marks(tokens[mark..<end], isSet: tokens[mark..<end].contains("set"))
        }
    }

    /// All marks in expressions or elements: nft writes them with eight hexadecimal digits.
    private static func marks(_ tokens: ArraySlice<String>, isSet: Bool) -> [Use] {
        var uses: [Use] = []
        var mask: UInt32 = .max
        for index in tokens.indices {
            let before = index > tokens.startIndex ? tokens[index - 1] : ""
            // `jhash ip saddr mod 16 offset 8192`
            if before == "mod", let count = UInt32(tokens[index]), count > 0 {
                let next = index + 2 < tokens.endIndex && tokens[index + 1] == "offset" ? UInt32(tokens[index + 2]) : nil
                let offset = next ?? 0
                uses.append(Use(value: offset, last: offset &+ (count - 1), isSet: isSet))
            }
            let ends = tokens[index].split(separator: "-", maxSplits: 1)
            guard ends.allSatisfy({ $0.hasPrefix("0x") && $0.utf8.count == 10 }), let value = ends.first.flatMap(plain) else { continue }
            if before == "&" {
                mask = value
            } else if before == "!=", value == 0 {
                uses.append(Use(value: mask, mask: mask))
                mask = .max
            } else {
                uses.append(Use(value: value, mask: mask, last: ends.count == 2 ? plain(ends[1]) : nil, isSet: isSet))
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
            if field.hasPrefix("pkt_mark") { return [Use(value: value & mask, isSet: true)] }
            guard field.hasPrefix("NXM_NX_PKT_MARK[") else { return [] }
            // The bits of the mark that the value is written to: `[]`, `[13]`, `[8..15]`.
            let bits = field.drop { $0 != "[" }.dropFirst().prefix { $0.isNumber }
            return [Use(value: value << (UInt32(bits) ?? 0), isSet: true)]
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

/// Runs a program and reads its output.
enum ToolOutput {
    static let defaultMaximum = 4 << 20
    private static let directories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]

    /// The standard output of the tool `name`, which is run without a shell; its standard error is discarded.
    /// - Parameters:
    ///   - time: how long the tool may take.
    ///   - maximum: the most bytes that it may print.
    /// - Returns: `nil` if the tool does not exist, failed, printed more, or took longer.
    static func of(
        _ name: String, _ arguments: [String], within time: Duration = .seconds(3), maximum: Int = defaultMaximum
    ) -> String? {
        let candidates: [String] = directories.map { "\($0)/\(name)" }
        guard let path = candidates.first(where: { access($0, X_OK) == 0 }) else { return nil }
        return run(path, arguments, within: time, maximum: maximum)
    }

    /// The same for the program at `path`.
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
