// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// Writing all of a text to a descriptor, at once and past every buffer.
public enum WholeWrite {
    /// Blocks until the other end has taken everything. For any thread.
    /// - Returns: false when the other end is gone or the disk is full; `errno` says which.
    @discardableResult
    public static func write(_ text: String, to descriptor: Int32) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
