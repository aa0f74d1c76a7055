// SPDX-License-Identifier: LGPL-2.1-or-later

/// The two registers of classic BPF, 32 bits each and 0 at first.
enum ClassicRegister: Hashable, Sendable {
    case a, x
}
