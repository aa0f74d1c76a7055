// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Where a long stream's copies go, and where they are looked at.
struct StreamKind: Sendable {
    let name: String
    /// What is in the `<destination>`.
    let target: String
    /// What else the `<destination>` says.
    var attributes = ""
    /// The device at which the copies are captured, and its namespace.
    let device: String
    var namespace: String?

    static let all = [
        StreamKind(name: "plain", target: "<interface name='span0'/>", device: "span1"),
        StreamKind(name: "wire", target: "<interface name='span0'/>", attributes: " mtu='1500'", device: "span1"),
        // What Linux's own device has decapsulated.
        StreamKind(name: "vxlan", target: "<vxlan remote='10.9.0.2' vni='\(FarMachine.identifier)'/>", device: "back0"),
        // As they arrive, since the running kernel has no devices for these: tshark takes them apart.
        outer("geneve", "<geneve remote='10.9.0.2' vni='5'/>"),
        outer("gre", "<gre remote='10.9.0.2' key='6'/>"),
        outer("erspan2", "<erspan remote='10.9.0.2' version='1' session='7'/>"),
        outer("erspan3", "<erspan remote='10.9.0.2' version='2' session='8'/>"),
    ]

    private static func outer(_ name: String, _ target: String) -> StreamKind {
        StreamKind(name: name, target: target, device: "up1", namespace: "far")
    }

    static let configuration = TappedHost.configuration.replacingOccurrences(
        of: "</virt-tap>",
        with: all.map { "<destination name='\($0.name)'\($0.attributes)>\($0.target)</destination>" }.joined() + "</virt-tap>")
}
