// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The few colours of the output: SGR codes of ECMA-48.
enum Colour: String {
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
    case faint = "2"
    case bold = "1"

    func paint(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }

    static func of(_ state: TapState) -> Colour {
        switch state {
        case .active: .green
        case .degraded, .unsupported: .yellow
        case .failed, .denied: .red
        case .pending: .cyan
        case .disabled: .faint
        }
    }
}
