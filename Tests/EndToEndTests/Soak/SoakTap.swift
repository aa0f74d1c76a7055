// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// A tap as a soak writes it, and what it ought to do on a host.
struct SoakTap: Hashable, Sendable {
    var name: String
    var destination: String
    var direction = TapDirection.both
    /// Selects the guest's first interface only.
    var isFirstOnly = false
    var isEnabled = true

    /// What a guest's metadata may be.
    static let menu: [[SoakTap]] = [
        [],
        [SoakTap(name: "ids", destination: "ids")],
        [
            SoakTap(name: "sent", destination: "ids", direction: .outbound),
            SoakTap(name: "received", destination: "span", direction: .inbound),
        ],
        [SoakTap(name: "first", destination: "span", isFirstOnly: true)],
        [
            SoakTap(name: "off", destination: "ids", isEnabled: false), SoakTap(name: "lost", destination: "nowhere"),
            SoakTap(name: "ids", destination: "ids", direction: .inbound),
        ],
        [SoakTap(name: "ids", destination: "span"), SoakTap(name: "twice", destination: "span", isFirstOnly: true)],
        (1...6).map { SoakTap(name: "many\($0)", destination: $0 > 3 ? "ids" : "span") },
    ]

    /// The whole element; `mac` is the first interface's.
    static func element(_ taps: [SoakTap], firstMAC mac: String) -> String {
        guard !taps.isEmpty else { return "" }
        let lines = taps.map { tap in
            "<tap name='\(tap.name)' to='\(tap.destination)' direction='\(tap.direction.rawValue)' enabled='\(tap.isEnabled ? "yes" : "no")'>"
                + (tap.isFirstOnly ? "<interface mac='\(mac)'/>" : "") + "</tap>"
        }
        return "<taps xmlns='urn:virt-tap:1'>\(lines.joined())</taps>"
    }

    /// The state and reason that status must show on a host, for a guest that runs there.
    func state(on host: SoakModel.Host) -> (TapState, Reason?) {
        if !isEnabled { return (.disabled, .disabledByMetadata) }
        if host.configuration == .noTaps { return (.disabled, .disabledByHost) }
        guard host.configuration.destinations.contains(destination) else { return (.failed, .noSuchDestination) }
        return host.devices[destination] == .up ? (.active, nil) : (.failed, .destinationDown)
    }

    /// Whether programs of it must be attached there.
    func isAttached(on host: SoakModel.Host) -> Bool {
        [.active, .failed].contains(state(on: host).0) && state(on: host).1 != .noSuchDestination
    }

    /// How often a frame on the guest's interface is copied by it: 0 or 1.
    func copies(_ direction: Direction, first: Bool) -> Bool {
        (first || !isFirstOnly) && self.direction.directions.contains(direction)
    }
}
