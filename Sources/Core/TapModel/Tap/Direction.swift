// SPDX-License-Identifier: LGPL-2.1-or-later

/// One way of traffic, seen from the guest as in libvirt's `<bandwidth>`: the guest *receives* inbound and *sends*
/// outbound. Which TC hook that is depends on the device and is decided in one place, `HookPoint` in Dataplane.
public enum Direction: String, CaseIterable, Codable, Sendable {
    case inbound
    case outbound
}

/// The `direction` of a tap: one way or both.
public enum TapDirection: String, CaseIterable, Codable, Sendable {
    case inbound
    case outbound
    case both

    public var directions: Set<Direction> {
        switch self {
        case .inbound: [.inbound]
        case .outbound: [.outbound]
        case .both: [.inbound, .outbound]
        }
    }
}
