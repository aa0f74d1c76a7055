// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

/// The system's text for an errno value.
public enum ErrorText {
    /// Returns a text such as `No such device, errno 19`. Can be called on any thread.
    public static func of(_ code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "errno \(code)" }
        return buffer.withUnsafeBufferPointer { "\(String(cString: $0.baseAddress!)), errno \(code)" }
    }
}

/// Writes the whole of a text to a descriptor, without a buffer.
public enum WholeWrite {
    /// Blocks until everything is written. Can be called on any thread.
    /// - Returns: false when the other end is closed or the disk is full; `errno` says which.
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

/// Ends a process whose other threads are still running.
public enum ProcessEnd {
    /// Writes a message, unless it is empty, and ends the process.
    ///
    /// Unlike `exit` it does not run the destructors of libraries. libvirt's event loop is never stopped, and a connection may be closing on a
    /// thread of its own, so that what the destructors free is still in use. (Seen with libvirt 9.0.0: of 1,200 commands that had done their
    /// work, one died of SIGSEGV or SIGABRT in `exit`.)
    ///
    /// - Parameters:
    ///   - code: the exit status. With 0 the message goes to standard output, else to standard error. If the message cannot be written, 0
    ///     becomes 1.
    ///   - message: without the newline at its end.
    public static func now(_ code: Int32, saying message: String = "") -> Never {
        let isSaid = message.isEmpty || WholeWrite.write("\(message)\n", to: code == 0 ? STDOUT_FILENO : STDERR_FILENO)
        fflush(nil)
        _exit(isSaid || code != 0 ? code : EXIT_FAILURE)
    }
}
