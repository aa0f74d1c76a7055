// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials

/// The pages that are installed with the programs.
public enum Documentation {
    /// Where a package puts them.
    static let standard = "/usr/share/doc/virt-tap/docs"

    /// A page's path: beside the program that runs, as `make install` puts both below one PREFIX, else where a package has it.
    public static func path(_ page: String) -> String {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return path(page, of: program) { FileManager.default.fileExists(atPath: $0) }
    }

    static func path(_ page: String, of program: String, exists: (String) -> Bool) -> String {
        // PREFIX/bin/virt-tap.
        let prefix = program.split(separator: "/").dropLast(2).map { "/\($0)" }.joined()
        let own = "\(prefix)/share/doc/virt-tap/docs/\(page)"
        return exists(own) ? own : "\(standard)/\(page)"
    }
}
