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

/// The end of a process whose other threads go on meanwhile.
public enum ProcessEnd {
    /// Says a message, if there is one, and ends the process.
    ///
    /// Unlike `exit` it runs no destructors of libraries: libvirt's loop is never stopped, and a connection may just be closing on a thread
    /// of its own, so what those take down is still in use (seen with libvirt 9.0.0: one of 1,200 commands that had done what they
    /// should died of SIGSEGV or SIGABRT in `exit`).
    ///
    /// - Parameters:
    ///   - code: for the parent; with 0 the message goes to standard output, else to standard error. What cannot be said makes 0 a 1.
    ///   - message: without its last line's end.
    public static func now(_ code: Int32, saying message: String = "") -> Never {
        let isSaid = message.isEmpty || WholeWrite.write("\(message)\n", to: code == 0 ? STDOUT_FILENO : STDERR_FILENO)
        fflush(nil)
        _exit(isSaid || code != 0 ? code : EXIT_FAILURE)
    }
}
