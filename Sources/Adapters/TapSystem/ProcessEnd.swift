// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc

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
