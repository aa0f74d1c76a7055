// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// `virt-tap test`: the name is kept free for it.
struct TestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Sends a marked frame along the whole path (not in this version).")

    @OptionGroup(visibility: .hidden) var paths: PathOptions

    @Argument(help: "The domain.", completion: DomainCompletion.kind)
    var domain: String

    @Argument(help: "The tap; default: all of the domain's.")
    var tap: String?

    func run() throws {
        throw CommandFailure(
            .failure, "test is not implemented in this version: `virt-tap status` shows by its counters whether copies are made")
    }
}
