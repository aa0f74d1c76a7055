// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Testing

@testable import TapControl

@Suite("The runtime directory and its lock")
struct DaemonLockTests {
    @Test("One holder at a time, who is named; free again when it is let go")
    func exclusive() throws {
        let sandbox = try Sandbox()
        var first: DaemonLock? = try DaemonLock(in: sandbox.directory)
        #expect(first != nil)
        #expect(throws: ControlError.alreadyRunning(directory: sandbox.directory.path, pid: getpid())) {
            try DaemonLock(in: sandbox.directory)
        }
        first = nil
        #expect(throws: Never.self) { try DaemonLock(in: sandbox.directory) }
    }

    @Test("The directory is made, and made private")
    func directory() throws {
        let sandbox = try Sandbox()
        let inner = RuntimeDirectory(sandbox.directory.path + "/inner")
        defer { rmdir(inner.path) }
        try inner.prepare()
        chmod(inner.path, 0o777)
        try inner.prepare()
        var status = stat()
        #expect(stat(inner.path, &status) == 0 && status.st_mode & 0o7777 == 0o700)
    }

    @Test("A symbolic link in its place is not followed")
    func link() throws {
        let sandbox = try Sandbox()
        let path = sandbox.directory.path + "/link"
        symlink("/tmp", path)
        defer { unlink(path) }
        #expect {
            try RuntimeDirectory(path).prepare()
        } throws: {
            "\($0)".contains("not a directory of the user")
        }
    }

    @Test("An unknown group says what to do")
    func group() {
        #expect {
            try SocketGroup(named: "no such\u{1B}group")
        } throws: {
            "\($0)".contains("groupadd") && !"\($0)".contains("\u{1B}")
        }
        #expect((try? SocketGroup(named: "root"))?.id == 0)
    }
}
