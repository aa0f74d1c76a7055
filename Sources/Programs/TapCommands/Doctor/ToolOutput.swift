// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapSystem

/// What an administrator's tool prints, for what has no better source.
enum ToolOutput {
    static let defaultMaximum = 4 << 20
    private static let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]

    /// Standard output of `name`, run without a shell, its errors thrown away.
    /// - Parameter maximum: bytes.
    /// - Returns: `nil` when there is no such tool, it failed, said more than that, or took longer than `time`.
    static func of(
        _ name: String, _ arguments: [String], within time: Duration = .seconds(3), maximum: Int = defaultMaximum
    ) -> String? {
        let candidates: [String] = places.map { "\($0)/\(name)" }
        guard let path = candidates.first(where: { access($0, X_OK) == 0 }) else { return nil }
        return run(path, arguments, within: time, maximum: maximum)
    }

    /// The same of the program at a path.
    static func run(_ path: String, _ arguments: [String], within time: Duration, maximum: Int = defaultMaximum) -> String? {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var child = pid_t()
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("LC_ALL=C"), nil]
        defer { free(environment[0]) }
        guard posix_spawn(&child, path, &actions, nil, &argv, &environment) == 0 else {
            close(ends[1])
            return nil
        }
        close(ends[1])
        let text = read(ends[0], before: Deadline(in: time), maximum)
        if text == nil { kill(child, SIGKILL) }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        return status == 0 ? text : nil
    }

    private static func read(_ descriptor: Int32, before deadline: Deadline, _ maximum: Int) -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < maximum {
            guard !deadline.hasPassed else { return nil }
            var waited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&waited, 1, deadline.pollMilliseconds)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return nil }
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
        return nil
    }
}
