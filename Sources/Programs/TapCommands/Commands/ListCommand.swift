// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// `virt-tap list`, which is what people type: `virt-tap status`. No alias, which the shells' completions would not know.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "The same as status.",
        // Its own would be of the command that is in it.
        usage: "virt-tap list" + StatusCommand.usageString().dropFirst("status".count))

    @OptionGroup var status: StatusCommand

    func run() throws { try status.run() }
}
