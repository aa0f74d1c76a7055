// SPDX-License-Identifier: LGPL-2.1-or-later

import TestSupport
import Testing

/// What one guest sends to everybody, as the host's bridge gets it, and what arrives of it at the two sensors.
///
/// The bridge is there before the guest's device and after it, so this holds over lives of the guest that each have
/// another one.
struct Witness: Sendable {
    let guest: Guest
    let originals: Sensor
    let ids: Sensor
    let span: Sensor
    private let address: [UInt8]

    /// - Parameters:
    ///   - guest: one that is off or suspended: what it sends while the captures begin would be in some of them.
    ///   - mac: of its interface in br0.
    init(_ guest: Guest, mac: String) async throws {
        self.guest = guest
        address = mac.split(separator: ":").compactMap { UInt8($0, radix: 16) }
        async let originals = Sensor(guest.host, at: "br0")
        async let ids = Sensor(guest.host, at: "ids1")
        async let span = Sensor(guest.host, at: "span1")
        (self.originals, self.ids, self.span) = try await (originals, ids, span)
    }

    /// Waits until more of what the guest sends all the time (`vt.ping`) arrives at a sensor; it may have to boot first.
    func moves(at sensor: Sensor) async throws {
        let before = try sensor.numbers("ping", from: guest.name).count
        try await eventually("more of \(guest.name) at \(sensor.device)", within: .seconds(60)) {
            try sensor.numbers("ping", from: guest.name).count >= before + 10
        }
    }

    /// Holds the guest still and waits until the copies are what it sent: every frame once, none more. The numbers it
    /// sent all the while, in order, are returned.
    func everythingWasCopiedOnce(_ whileStill: () async throws -> Void = {}) async throws -> [Int] {
        try await guest.host.virsh("suspend", "--", guest.name)
        do {
            try await eventually("everything that \(guest.name) sent was copied once") { try sent(originals) == copied }
        } catch {
            let (sent, copied) = (try sent(originals), try copied)
            let missing = sent.filter { copied[$0.key] != $0.value }.keys.map(describe).sorted()
            let surplus = copied.filter { sent[$0.key] != $0.value }.keys.map(describe).sorted()
            throw NeverHappened(
                description:
                    "\(error); sent: \(missing.prefix(10)) and \(missing.count) in all; copied: \(surplus.prefix(10)) and \(surplus.count)")
        }
        try await whileStill()
        try await guest.host.virsh("resume", "--", guest.name)
        return try originals.numbers("ping", from: guest.name)
    }

    /// Ends the captures, none of which may have lost anything.
    func stop() async throws {
        for sensor in [originals, ids, span] { #expect(try await sensor.stop() == 0) }
    }

    /// How often each frame of the guest is there.
    private func sent(_ sensor: Sensor) throws -> [CapturedFrame: Int] {
        try sensor.frames().filter { $0.bytes.count >= 12 && Array($0.bytes[6..<12]) == address }.reduce(into: [:]) {
            $0[$1, default: 0] += 1
        }
    }

    private var copied: [CapturedFrame: Int] {
        get throws { try sent(ids).merging(sent(span)) { $0 + $1 } }
    }

    private func describe(_ frame: CapturedFrame) -> String {
        for kind in ["burst", "ping"] {
            if let number = frame.number(kind, from: guest.name) { return "\(kind) \(number)" }
        }
        return "a frame of type \(String(frame.etherType, radix: 16))"
    }
}
