// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why a configuration file is not used: everything that is wrong with it, a line each.
public struct ConfigurationFileError: Error, Equatable, Sendable {
    public var path: String
    /// Such as `/etc/virt-tap/config.xml:7: …`.
    public var lines: [String]

    public init(path: String, lines: [String]) {
        self.path = path
        self.lines = lines
    }
}

extension ConfigurationFileError: CustomStringConvertible {
    public var description: String { lines.joined(separator: "\n") }
}
