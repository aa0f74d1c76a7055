// SPDX-License-Identifier: LGPL-2.1-or-later

/// How a tap says where its copies go.
public enum DestinationReference: Hashable, Codable, Sendable {
    /// `to`: a destination that the host defines.
    case named(TapName)
    /// An inline `<destination>`, allowed only as far as the host's policy says.
    case inline(DestinationTarget)

    /// The destination's name in status, pins and logs. Inline destinations are named after what they are.
    public var label: String {
        switch self {
        case .named(let name): name.text
        case .inline(.tunnel(let tunnel)): tunnel.label
        case .inline(.interface(let name, _)): "interface:\(name)"
        case .inline(.monitor(let name)): "monitor:\(name)"
        case .inline(.domain(let name, let uuid, _, _)): "domain:\(name ?? uuid?.description ?? "")"
        }
    }
}
