// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TestSupport

/// What ought to be on two hosts, and what is to be done to them next: a value, so that a seed decides the whole soak.
///
/// Two guests stay where they are and talk to each other all the time; the others come, go and move.
struct SoakModel: Hashable, Sendable {
    struct Guest: Hashable, Sendable {
        var number: Int
        var stays: Bool
        var place: Int?
        var taps: [SoakTap] = []
        var isPlugged = false

        var firstMAC: String { "52:54:00:aa:00:0\(number)" }
        var pluggedMAC: String { "52:54:00:bb:00:0\(number)" }
        var address: String { "192.0.2.1\(number)" }
    }

    /// A destination's interface.
    enum Device: Hashable, Sendable {
        case up, down, deleted
    }

    enum Configuration: Hashable, Sendable {
        case all, withoutSpan, noTaps

        var destinations: [String] { self == .withoutSpan ? ["ids"] : ["ids", "span"] }
    }

    struct Host: Hashable, Sendable {
        var hasDaemon = true
        var devices: [String: Device] = ["ids": .up, "span": .up]
        var configuration = Configuration.all
    }

    var guests: [String: Guest] = [
        "rock1": Guest(number: 1, stays: true, place: 0, taps: SoakTap.menu[1]),
        "rock2": Guest(number: 2, stays: true, place: 1, taps: SoakTap.menu[2]),
        "roam1": Guest(number: 3, stays: false, taps: SoakTap.menu[3]),
        "roam2": Guest(number: 4, stays: false, taps: SoakTap.menu[5]),
    ]
    var hosts = [Host(), Host()]

    /// Chooses the next step, and becomes what ought to be after it.
    mutating func next(_ generator: inout SeededGenerator) -> SoakStep {
        let first = action(of: name(&generator), &generator)
        var step = SoakStep(
            actions: [first], fault: .none, host: Int.random(in: 0...1, using: &generator),
            delay: Int.random(in: 0...first.length, using: &generator), duration: Int.random(in: 0...1_000, using: &generator),
            returns: false)
        let second = name(&generator)
        if second != first.guest, Bool.random(using: &generator) { step.actions.append(action(of: second, &generator)) }
        if Int.random(in: 0..<10, using: &generator) < 7 { step.fault = fault(on: step.host, &generator) }
        switch step.fault {
        case .daemonKilled, .daemonStopped: step.returns = Bool.random(using: &generator)
        case .daemonHangs, .libvirtdKilled: step.returns = true
        default: break
        }
        become(step)
        return step
    }

    /// A guest; those that come and go have more to do.
    private func name(_ generator: inout SeededGenerator) -> String {
        ["rock1", "rock2", "roam1", "roam1", "roam1", "roam2", "roam2", "roam2"].randomElement(using: &generator)!
    }

    private func action(of name: String, _ generator: inout SeededGenerator) -> SoakStep.Action {
        guard let guest = guests[name], let place = guest.place else {
            return .start(guest: name, host: Int.random(in: 0...1, using: &generator))
        }
        let taps = SoakTap.menu.filter { $0 != guest.taps }.randomElement(using: &generator)!
        let hotPlug: SoakStep.Action = guest.isPlugged ? .unplug(guest: name) : .plug(guest: name)
        if guest.stays {
            return [.tap(guest: name, taps), .tapInHaste(guest: name, taps), hotPlug].randomElement(using: &generator)!
        }
        let migrate = SoakStep.Action.migrate(guest: name, to: 1 - place)
        // What was plugged in is let go by a guest that has booted; of the others it ends with the guest.
        return [
            .tap(guest: name, taps), .tapInHaste(guest: name, taps), migrate, migrate, .migrateInVain(guest: name), .destroy(guest: name),
            .crash(guest: name), .saveAndRestore(guest: name), .reset(guest: name), guest.isPlugged ? migrate : hotPlug,
        ].randomElement(using: &generator)!
    }

    private func fault(on number: Int, _ generator: inout SeededGenerator) -> SoakStep.Fault {
        let host = hosts[number]
        let destination = ["ids", "span"].randomElement(using: &generator)!
        let device: SoakStep.Fault =
            host.devices[destination] == .up
            ? .device(destination, Bool.random(using: &generator) ? .down : .deleted) : .device(destination, .up)
        let configuration: SoakStep.Fault = .configured(
            host.configuration == .all ? (Int.random(in: 0..<3, using: &generator) == 0 ? .noTaps : .withoutSpan) : .all)
        var choice: [SoakStep.Fault] = [
            .libvirtdKilled, .libvirtdKilled, .libvirtdRestarts, device, device, configuration, .programDetached, .pinsRemoved,
        ]
        choice +=
            host.hasDaemon ? [.daemonKilled, .daemonKilled, .daemonStopped, .daemonHangs] : [.daemonStarts, .daemonStarts, .daemonStarts]
        return choice.randomElement(using: &generator)!
    }

    private mutating func become(_ step: SoakStep) {
        for action in step.actions { become(action) }
        switch step.fault {
        case .daemonKilled, .daemonStopped: hosts[step.host].hasDaemon = step.returns
        case .daemonStarts: hosts[step.host].hasDaemon = true
        case .device(let name, let state): hosts[step.host].devices[name] = state
        case .configured(let configuration): hosts[step.host].configuration = configuration
        case .daemonHangs, .libvirtdKilled, .libvirtdRestarts, .programDetached, .pinsRemoved, .none: break
        }
    }

    private mutating func become(_ action: SoakStep.Action) {
        switch action {
        case .start(let guest, let host): guests[guest]?.place = host
        case .destroy(let guest), .crash(let guest):
            guests[guest]?.place = nil
            guests[guest]?.isPlugged = false
        case .migrate(let guest, let host): guests[guest]?.place = host
        case .plug(let guest): guests[guest]?.isPlugged = true
        case .unplug(let guest): guests[guest]?.isPlugged = false
        case .tap(let guest, let taps), .tapInHaste(let guest, let taps): guests[guest]?.taps = taps
        case .migrateInVain, .saveAndRestore, .reset: break
        }
    }

    // MARK: - What ought to be

    /// The guests that run on a host, by name.
    func guests(on host: Int) -> [(name: String, guest: Guest)] {
        guests.filter { $0.value.place == host }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// How many programs hang on one of a guest's interfaces, in one direction.
    func programs(_ direction: Direction, of guest: Guest, first: Bool) -> Int {
        guard let place = guest.place else { return 0 }
        return guest.taps.count { $0.isAttached(on: hosts[place]) && $0.copies(direction, first: first) }
    }

    /// How often a sensor gets each frame that a guest sends to everybody from its first interface.
    func copies(of sender: String, at destination: String, on host: Int) -> Int {
        guard hosts[host].devices[destination] == .up else { return 0 }
        return guests(on: host).reduce(0) { sum, one in
            let taps = one.guest.taps.filter { $0.destination == destination && $0.isAttached(on: hosts[host]) }
            let first = taps.count { $0.copies(one.name == sender ? .outbound : .inbound, first: true) }
            let plugged = one.guest.isPlugged ? taps.count { $0.copies(.inbound, first: false) } : 0
            return sum + first + plugged
        }
    }
}
