// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Testing

/// The programs' output, where there is no room for it.
@Suite struct OutputTests {
    @Test(arguments: ["virt-tap", "virt-tapd"], ["--version", "--help"])
    func whatCannotBeSaidIsAFailure(_ name: String, _ option: String) async throws {
        let program = try TappedHost.program(name)
        #expect(try await Command([program, option]).run().status == 0)
        #expect(try await Command(["/bin/sh", "-c", "exec '\(program)' \(option) >/dev/full"]).run().status == 1)
    }
}
