// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

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
