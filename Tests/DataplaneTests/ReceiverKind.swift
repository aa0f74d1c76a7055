// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// A kind of tunnel as we send it, and the device of Linux that takes it.
struct ReceiverKind: CustomStringConvertible, Sendable {
    let kind: Tunnel.Kind
    var version: UInt8?
    var hasKey = true
    let isIPv6: Bool

    static func all(isIPv6: Bool) -> [ReceiverKind] {
        [
            ReceiverKind(kind: .vxlan, isIPv6: isIPv6), ReceiverKind(kind: .geneve, isIPv6: isIPv6),
            ReceiverKind(kind: .gre, hasKey: false, isIPv6: isIPv6), ReceiverKind(kind: .gre, isIPv6: isIPv6),
            ReceiverKind(kind: .erspan, version: 1, isIPv6: isIPv6), ReceiverKind(kind: .erspan, version: 2, isIPv6: isIPv6),
        ]
    }

    static let identifier: UInt32 = 100
    /// Where each direction has its own number, what the guest got has this one.
    static let inboundIdentifier: UInt32 = 101

    var description: String {
        "\(kind.rawValue)\(version.map { " version \($0)" } ?? "")\(hasKey ? "" : " without a key")"
    }

    /// - Parameter isSplit: whether each direction has a number of its own.
    func tunnel(isSplit: Bool) -> Tunnel {
        Tunnel(
            kind: kind, remote: TunnelReceiver.address(isIPv6), identifier: isSplit || !hasKey ? nil : Self.identifier,
            inboundIdentifier: isSplit ? Self.inboundIdentifier : nil, outboundIdentifier: isSplit ? Self.identifier : nil,
            version: version)
    }

    /// For "ip link add NAME type".
    func device(_ identifier: UInt32) -> String {
        let six = isIPv6 ? "ip6" : ""
        let receiver = TunnelReceiver.address(isIPv6)
        let sender = TunnelReceiver.sender(isIPv6)
        let ends = "local \(receiver) remote \(sender)"
        return switch kind {
        case .vxlan: "vxlan id \(identifier) dstport 4789 local \(receiver)"
        case .geneve: "geneve id \(identifier) remote \(sender)"
        case .gre: "\(six)gretap \(ends)\(hasKey ? " key \(identifier)" : "")"
        // What follows the version is for what the device itself sends.
        case .erspan:
            "\(six)erspan \(ends) seq key \(identifier) erspan_ver \(version == 2 ? "2 erspan_dir ingress erspan_hwid 1" : "1 erspan 1")"
        }
    }
}
