// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What compiling one filter may take.
///
/// libpcap's optimiser takes cubic time: 240 `host` terms, which fill 4,096 bytes, take 0.6 s on a machine of 2024, as many
/// `port` terms 8 s, `portrange` terms a minute.
enum ChildLimits {
    /// Bytes of an expression.
    static let expression = Tap.maximumFilterLength
    /// Seconds of processor time.
    static let processorSeconds = 2
    /// Bytes of memory beside the program's own.
    static let memory = 256 << 20
    /// Time until the child is killed, the whole of it.
    static let time = Duration.seconds(5)
    /// Seconds of processor time for a first try, starting included, which nearly all filters pass; the few others wait for each
    /// other afterwards, and nobody for them.
    static let quickProcessorSeconds = 0.3
    /// Bytes of an answer: more instructions than anybody takes.
    static let answer = 1 << 20
    /// Children at the same time, of which one may be slow.
    static let parallel = 2
}
