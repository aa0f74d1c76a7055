// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// `virt-tap set`.
struct SetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Adds a tap to a domain's metadata, or changes one.",
        discussion: """
            With --to it describes the whole tap, and replaces the one of that name; without, it changes what is given of a \
            tap that is there and keeps the rest. The domain's other taps stay. Running and persistent definition are read, \
            changed and written each for itself.
            """)

    @Argument(help: "The domain, by name, UUID or number.", completion: DomainCompletion.kind)
    var domain: String

    @OptionGroup(title: "The tap")
    var tap: TapOptions

    @OptionGroup var options: EditOptions

    func run() async throws {
        var tap = tap
        if let path = tap.filterFile { tap.filter = try FilterFile.read(path) }
        try await options.run(.set(tap), domain: domain)
    }
}
