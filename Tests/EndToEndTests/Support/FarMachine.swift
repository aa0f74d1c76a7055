// SPDX-License-Identifier: LGPL-2.1-or-later

/// Another machine that a host reaches by a link of its own, with a VXLAN device: what it takes out of the tunnel comes back to the
/// host's device `back0`. The host is 10.9.0.1, it 10.9.0.2.
struct FarMachine: Sendable {
    let host: LabHost
    static let identifier = 100

    /// The machine without the link.
    init(_ host: LabHost) async throws {
        self.host = host
        try await host.succeed("ip", "netns", "add", "far")
        try await host.succeed(
            "sh", "-c",
            """
            set -e
            ip link add up0 type veth peer name up1 netns far
            ip link add back0 type veth peer name front0 netns far
            ip link set back0 up mtu 9000
            ip netns exec far sh -c 'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 >$f; done
                echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
            ip -n far link set up1 up
            ip -n far address add 10.9.0.2/24 dev up1
            ip -n far link add name vx type vxlan id \(Self.identifier) dstport 4789 local 10.9.0.2
            ip -n far link add name brx type bridge mcast_snooping 0
            ip -n far link set vx mtu 9000 master brx up
            ip -n far link set vx type bridge_slave learning off
            ip -n far link set front0 mtu 9000 master brx up
            ip -n far link set brx up
            """)
    }

    func connect() async throws {
        try await host.succeed("ip", "address", "add", "10.9.0.1/24", "dev", "up0")
        try await host.succeed("ip", "link", "set", "up0", "up")
    }

    func disconnect() async throws {
        try await host.succeed("ip", "link", "set", "up0", "down")
        try await host.succeed("ip", "address", "flush", "dev", "up0")
    }

    /// As if its cable was pulled out, or put in again.
    func setCable(isIn: Bool) async throws {
        try await host.succeed("ip", "-n", "far", "link", "set", "up1", isIn ? "up" : "down")
    }

    /// Another MAC address, as another machine has that takes over.
    func change(mac: String) async throws {
        try await host.succeed("ip", "-n", "far", "link", "set", "up1", "address", mac)
    }

    func remove() async throws { try await host.succeed("ip", "netns", "delete", "far") }
}
