// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// The value of `--watch`.
///
/// Takes any text and is checked afterwards: the parser takes an option whose value is optional for a flag when it
/// cannot read the value, and would leave a mistake unsaid.
struct WatchInterval: ExpressibleByArgument, Hashable, CustomStringConvertible {
    static let standard = WatchInterval(argument: "2")

    var description: String
    /// 1 to 86,400; `nil`: no such number.
    var seconds: UInt32? { UInt32(description).flatMap { (1...86_400).contains($0) ? $0 : nil } }

    init(argument: String) { description = argument }
}
