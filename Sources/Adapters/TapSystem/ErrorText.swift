// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// The system's words for an errno value.
public enum ErrorText {
    /// Such as `No such device, errno 19`. For any thread.
    public static func of(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "errno \(code)" }
        return buffer.withUnsafeBufferPointer { "\(String(cString: $0.baseAddress!)), errno \(code)" }
    }
}
