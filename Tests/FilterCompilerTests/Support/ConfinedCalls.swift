// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Foundation

/// Confines this process for good and tries what it may not do any more.
enum ConfinedCalls {
    /// - Returns: 0; the number of the first attempt that was not refused; 100 when it could not be confined.
    static func firstPermitted() -> Int32 {
        var limits = clibpcap_limits(processor: 1_000, memory: 256 << 20)
        var step: UnsafePointer<CChar>?
        guard clibpcap_confine(&limits, &step) == 0 else { return 100 }
        var checks: [Bool] = []
        for family in [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET] {
            checks.append(isRefused(socket(family, Int32(SOCK_DGRAM.rawValue), 0)))
        }
        var pair: [Int32] = [0, 0]
        checks.append(isRefused(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)))
        checks.append(isRefused(execv("/bin/true", [nil])))
        checks.append(isRefused(open("/tmp/x", O_WRONLY | O_CREAT, 0o600)))
        checks.append(isRefused(open("/dev/null", O_RDWR)))
        checks.append(isRefused(unlink("/tmp/x")))
        checks.append(isRefused(kill(getppid(), 0)))
        checks.append(isRefused(setuid(0)))
        checks.append(isRefused(dup(0)))
        checks.append(mmap(nil, 4_096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        var (pid, arguments) = (pid_t(), [UnsafeMutablePointer<CChar>?](repeating: nil, count: 1))
        checks.append(posix_spawn(&pid, "/bin/true", nil, nil, &arguments, nil) != 0)
        // What it is there for.
        let services = open("/etc/services", O_RDONLY)
        checks.append(services >= 0 && close(services) == 0)
        return Int32(checks.firstIndex(of: false).map { $0 + 1 } ?? 0)
    }

    private static func isRefused(_ result: Int32) -> Bool { result == -1 && errno == EPERM }
}
