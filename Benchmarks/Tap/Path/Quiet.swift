// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation

/// No frames in our network namespace but the benchmark's.
enum Quiet {
    static let peerAddress = FrameBuilder.peer.map { String(format: "%02x", $0) }.joined(separator: ":")

    /// Devices that have IPv6 send on their own. A bridge that hands its frames to netfilter costs more, and beside that a tap
    /// would seem to cost less.
    static func network() throws {
        try PrivateNamespaces.require()
        for scope in ["all", "default"] { try set("ipv6/conf/\(scope)/disable_ipv6", "1") }
        for family in ["iptables", "ip6tables", "arptables"] {
            let name = "bridge/bridge-nf-call-\(family)"
            if FileManager.default.fileExists(atPath: "/proc/sys/net/\(name)") { try set(name, "0") }
        }
    }

    private static func set(_ name: String, _ value: String) throws {
        try value.write(toFile: "/proc/sys/net/\(name)", atomically: false, encoding: .utf8)
    }
}
