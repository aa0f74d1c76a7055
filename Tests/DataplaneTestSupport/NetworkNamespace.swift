// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Foundation
import Glibc

/// A network namespace of ip-netns(8), to make sockets in: a socket stays in the namespace that it was made in.
public struct NetworkNamespace: Sendable {
    public let name: String

    /// - Parameter name: of one that is there.
    public init(_ name: String) { self.name = name }

    /// Runs this with the calling thread in the namespace.
    public func run<Result>(_ body: () throws -> Result) throws -> Result {
        let here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        guard here >= 0 else { throw CallFailure("open /proc/thread-self/ns/net") }
        defer { close(here) }
        let there = open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC)
        guard there >= 0 else { throw CallFailure("open /run/netns/\(name)") }
        defer { close(there) }
        try Self.enter(there)
        // With the thread in the wrong namespace whatever comes next would be wrong.
        defer { if (try? Self.enter(here)) == nil { fatalError("the way back from \(name)") } }
        return try body()
    }

    /// Makes a device hand out packets as they came, those of one stream one by one (no GRO).
    public func joinNothing(_ device: String) throws {
        try run {
            let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw CallFailure("socket") }
            defer { close(descriptor) }
            // struct ethtool_value: ETHTOOL_SGRO, off.
            var value: (UInt32, UInt32) = (0x2C, 0)
            var request = ifreq()
            withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: device.utf8.prefix(15)) }
            let status = withUnsafeMutableBytes(of: &value) { bytes in
                request.ifr_ifru.ifru_data = bytes.baseAddress.map { $0.assumingMemoryBound(to: CChar.self) }
                return ioctl(descriptor, 0x8946, &request)  // SIOCETHTOOL
            }
            guard status == 0 else { throw CallFailure("SIOCETHTOOL \(device)") }
        }
    }

    /// Deletes it, and with the last one the mount that ip-netns(8) makes for the first.
    public func remove() {
        _ = try? DataplaneTestSupport.run("ip", "netns", "del", name)
        guard (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns"))?.isEmpty == true else { return }
        _ = try? DataplaneTestSupport.run("umount", "/run/netns")
        _ = try? FileManager.default.removeItem(atPath: "/run/netns")
    }

    /// setns(2), which Swift's C library does not show.
    private static func enter(_ namespace: CInt) throws {
        guard let address = dlsym(nil, "setns") else { throw CallFailure("setns") }
        let setns = unsafeBitCast(address, to: (@convention(c) (CInt, CInt) -> CInt).self)
        // CAP_SYS_ADMIN, which virt-tapd has not.
        guard UnitRights.withEverything({ setns(namespace, 0x4000_0000) }) == 0 else { throw CallFailure("setns") }  // CLONE_NEWNET
    }
}
