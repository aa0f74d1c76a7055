// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation

/// No frames in our network namespace but the benchmark's.
enum Quiet {
    static let peerAddress = FrameBuilder.peer.map { String(format: "%02x", $0) }.joined(separator: ":")

    /// Devices that have IPv6 send on their own.
    static func network() throws {
        try PrivateNamespaces.require()
        for scope in ["all", "default"] {
            try "1".write(toFile: "/proc/sys/net/ipv6/conf/\(scope)/disable_ipv6", atomically: false, encoding: .utf8)
        }
    }
}
