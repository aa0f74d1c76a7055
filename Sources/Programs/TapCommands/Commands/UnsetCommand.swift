// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// `virt-tap unset`.
struct UnsetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unset",
        abstract: "Removes taps from a domain's metadata.")

    @Argument(help: "The domain, by name, UUID or number.", completion: DomainCompletion.kind)
    var domain: String

    @Argument(help: "The taps to remove.", completion: NameCompletion.taps)
    var names: [String] = []

    @Flag(help: "All of the domain's taps.")
    var all = false

    @OptionGroup var options: EditOptions

    func validate() throws {
        if all, !names.isEmpty { throw ValidationError("--all is instead of names") }
        if !all, names.isEmpty { throw ValidationError("name the taps to remove, or use --all") }
    }

    func run() async throws {
        try await options.run(.unset(names: names, all: all), domain: domain)
    }
}
