// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

@testable import FilterCompiler

/// The program as `swift build` put it beside the tests.
enum BuiltProgram {
    static let program: String = {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return ((tests as NSString).deletingLastPathComponent as NSString).appendingPathComponent("virt-tap")
    }()

    /// The child of it.
    static let child = [program, FilterChild.argument]

    /// The child, after a shell has set the scene for it.
    static func child(after script: String) -> [String] {
        ["/bin/sh", "-ec", "\(script)\nexec '\(program)' \(FilterChild.argument) \"$@\"", "sh"]
    }

    static let isRoot = geteuid() == 0
}
