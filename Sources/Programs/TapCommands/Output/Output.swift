// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

/// Standard output for results, standard error for everything else.
enum Output {
    /// Writes as it is; the text ends its own lines.
    /// - Throws: `CommandFailure` when the other end is gone or the disk is full.
    static func write(_ text: String) throws(CommandFailure) {
        guard WholeWrite.write(text, to: STDOUT_FILENO) else { throw CommandFailure(.failure, "standard output: \(ErrorText.of(errno))") }
    }

    /// One line about a place in a document, as compilers write it, so that editors find the place: `FILE:LINE: message`.
    static func diagnose(_ line: String) { WholeWrite.write("\(line.inert)\n", to: STDERR_FILENO) }

    /// One line for people, which says who speaks.
    static func complain(_ text: String) { WholeWrite.write("virt-tap: \(text.inert)\n", to: STDERR_FILENO) }

    /// What does not keep the command from what it was told.
    static func warn(_ text: String) { complain("warning: \(text)") }
}
