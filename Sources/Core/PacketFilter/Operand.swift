// SPDX-License-Identifier: LGPL-2.1-or-later

/// The right side of arithmetic and comparisons.
enum Operand: Hashable, Sendable {
    case constant(UInt32)
    case x
}
