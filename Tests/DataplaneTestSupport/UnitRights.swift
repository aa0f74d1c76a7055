// SPDX-License-Identifier: LGPL-2.1-or-later

import CUnitRights
import Foundation

/// The capabilities that virt-tapd's unit gives it, for a process that is a test of the data path: `make test` and `make
/// test-kernels` lower those of the tests to them before the first test runs, so that what loads here loads where virt-tap is installed.
///
/// A test that needs more for itself takes it by `withEverything`. If it is the subject of the test that somebody has more, its
/// name says so; docs/development.md has the list.
public enum UnitRights {
    /// The program that becomes another with what the unit gives it: `PATH COMMAND...`.
    public static let launcher = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "scripts/as-unit").path

    /// Whether this process began with the unit's capabilities.
    public static var areGiven: Bool { cunitrights_are_given() != 0 }

    /// The calling thread's effective capabilities: a bit for each number of linux/capability.h.
    public static var effective: UInt64 { cunitrights_effective() }

    /// Runs this with all capabilities that the process may have, on the calling thread.
    public static func withEverything<Result>(_ body: () throws -> Result) rethrows -> Result { try with(.max, body) }

    /// Runs this with these capabilities and no others, as far as the process may have them, on the calling thread.
    public static func with<Result>(_ capabilities: UInt64, _ body: () throws -> Result) rethrows -> Result {
        let former = effective
        precondition(cunitrights_set_effective(capabilities) == 0, "capset")
        defer { precondition(cunitrights_set_effective(former) == 0, "capset") }
        return try body()
    }
}
