// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation

/// A guest without a machine of its own: a network namespace with one network card, whose other side is a device on the
/// host's bridge, and the relay between them that QEMU would be.
final class GuestNamespace {
    let name: String
    let address: String
    /// The host's device.
    let device: GuestDevice
    private let card: GuestDevice
    private let sending: FrameRelay
    private let receiving: FrameRelay

    init(_ number: Int, bridge: String) throws {
        name = "guest\(number)"
        address = "10.1.0.\(number)"
        device = try GuestDevice("vnet\(number)")
        card = try GuestDevice("card\(number)")
        try device.acceptOffloads()
        try card.acceptOffloads()
        try run("ip", "netns", "add", name)
        try ip("link set \(device.name) master \(bridge) up\nlink set \(card.name) netns \(name)\n")
        try run(
            "ip", "-netns", name, "-batch", "-",
            input: "link set lo up\naddress add \(address)/24 dev \(card.name)\nlink set \(card.name) up\n")
        sending = FrameRelay(from: card, to: device)
        receiving = FrameRelay(from: device, to: card)
    }

    deinit {
        sending.stop()
        receiving.stop()
        _ = try? run("ip", "netns", "del", name)
    }

    /// How many frames the hooks of the host's device have seen: those that the guest sent, and those that were given to
    /// the device, whether it had room for them or not.
    func passed() throws -> (outbound: UInt64, inbound: UInt64) {
        (sending.frames, try statistic("tx_packets") + statistic("tx_dropped"))
    }

    private func statistic(_ name: String) throws -> UInt64 {
        let text = try String(contentsOfFile: "/sys/class/net/\(device.name)/statistics/\(name)", encoding: .utf8)
        return UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }
}
