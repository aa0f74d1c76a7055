// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel
import TapSystem

/// Standard output for results, standard error for everything else.
enum Output {
    /// Writes as it is; the text ends its own lines.
    /// - Throws: `CommandFailure` when the other end is gone or the disk is full.
    static func write(_ text: String) throws(CommandFailure) {
        guard write(text, to: 1) else { throw CommandFailure(.failure, "standard output: \(ErrorText.of(errno))") }
    }

    /// One line about a place in a document, as compilers write it, so that editors find the place: `FILE:LINE: message`.
    static func diagnose(_ line: String) { _ = write("\(line.inert)\n", to: 2) }

    /// One line for people, which says who speaks.
    static func complain(_ text: String) { _ = write("virt-tap: \(text.inert)\n", to: 2) }

    /// What does not keep the command from what it was told.
    static func warn(_ text: String) { complain("warning: \(text)") }

    private static func write(_ text: String, to descriptor: Int32) -> Bool {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            written += count
        }
        return true
    }
}
