// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// Does to two real hosts what a soak's steps say.
struct SoakHands: Sendable {
    let pair: HostPair

    func host(_ number: Int) -> TappedHost { pair.hosts[number] }

    func guest(_ name: String, on number: Int) -> Guest { Guest(host: host(number).lab, name: name) }

    /// Carries a step out, and does again what a fault of libvirt's kept from being done.
    ///
    /// - Parameter before: what ought to be before it.
    func carryOut(_ step: SoakStep, from before: SoakModel) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cause(step, before) }
            for action in step.actions {
                group.addTask {
                    do {
                        try await act(action, before)
                    } catch {
                        // Nothing that happens to the daemon or to a destination is a reason for libvirt to fail.
                        guard step.fault.disturbsLibvirt else { throw error }
                    }
                }
            }
            try await group.waitForAll()
        }
        for action in step.actions {
            try await eventually("\(action) is done", within: .seconds(90)) {
                if try await isDone(action, before) { return true }
                try? await act(action, before)
                return false
            }
        }
    }

    /// Starts a guest that ends with its run.
    func start(_ name: String, _ guest: SoakModel.Guest, on number: Int) async throws {
        var options = GuestOptions(append: guest.stays ? "" : "vt.ping=192.0.2.255:20")
        options.nics = ["bridge=br0,mac=\(guest.firstMAC),ip=\(guest.address)/24\(guest.stays ? ",target=tap-\(name)" : "")"]
        options.metadata = SoakTap.element(guest.taps, firstMAC: guest.firstMAC)
        options.transient = true
        options.ready = false
        try await host(number).lab.guest(name, options)
    }

    /// libvirt's word on a guest, on each host; nil: it knows none.
    private func states(_ name: String) async throws -> [String?] {
        var states: [String?] = []
        for host in pair.hosts {
            let result = try await host.lab.run("virsh", "domstate", "--domain", name)
            states.append(result.status == 0 ? result.text.trimmingCharacters(in: .whitespacesAndNewlines) : nil)
        }
        return states
    }

    // MARK: - What is done to guests

    private func act(_ action: SoakStep.Action, _ before: SoakModel) async throws {
        switch action {
        case .start(let name, let number):
            guard let guest = before.guests[name] else { return }
            try await start(name, guest, on: number)
        case .destroy(let name):
            for (number, state) in try await states(name).enumerated() where state != nil {
                try await host(number).lab.virsh("destroy", "--domain", name)
            }
        case .crash(let name):
            guard let place = before.guests[name]?.place else { return }
            try await host(place).lab.succeed("sh", "-c", "kill -9 $(cat /run/libvirt/qemu/\(name).pid)")
        case .migrate(let name, let target):
            try await move(name, to: target, before)
        case .migrateInVain(let name):
            guard let place = before.guests[name]?.place else { return }
            async let result = pair.migrate(guest(name, on: place), "--bandwidth", "1")
            for _ in 1...20 where try await host(place).lab.run("virsh", "domjobabort", "--domain", name).status != 0 {
                try await Task.sleep(for: .milliseconds(100))
            }
            _ = try await result
        case .plug(let name):
            guard let guest = before.guests[name], let place = guest.place else { return }
            try await self.guest(name, on: place).plug(interface(guest))
        case .unplug(let name):
            guard let guest = before.guests[name], let place = guest.place else { return }
            try await self.guest(name, on: place).unplug(interface(guest))
        case .tap(let name, let taps):
            try await tap(name, taps, before)
        case .tapInHaste(let name, let taps):
            for other in SoakTap.menu.reversed() where !other.isEmpty { try await tap(name, other, before) }
            try await tap(name, taps, before)
        case .saveAndRestore(let name):
            guard let guest = before.guests[name], let place = guest.place else { return }
            let lab = host(place).lab
            if try await states(name)[place] != nil { try await lab.virsh("save", "--domain", name, "/run/\(name).saved") }
            if try await lab.run("virsh", "restore", "/run/\(name).saved").status != 0, try await states(name)[place] == nil {
                try await start(name, guest, on: place)
                if guest.isPlugged { try await self.guest(name, on: place).plug(interface(guest)) }
            }
        case .reset(let name):
            guard let place = before.guests[name]?.place else { return }
            try await host(place).lab.virsh("reset", "--domain", name)
        }
    }

    private func tap(_ name: String, _ taps: [SoakTap], _ before: SoakModel) async throws {
        guard let guest = before.guests[name], let place = guest.place else { return }
        let there = self.guest(name, on: place)
        if taps.isEmpty {
            try await there.removeMetadata()
        } else {
            try await there.setMetadata(SoakTap.element(taps, firstMAC: guest.firstMAC))
        }
    }

    private func interface(_ guest: SoakModel.Guest) -> String {
        "<interface type='bridge'><mac address='\(guest.pluggedMAC)'/><source bridge='br0'/><model type='virtio'/><rom enabled='no'/></interface>"
    }

    /// Moves a guest, or puts in order what a migration left that libvirtd did not survive.
    private func move(_ name: String, to target: Int, _ before: SoakModel) async throws {
        let states = try await states(name)
        switch (states[1 - target], states[target]) {
        case ("running"?, nil):
            let result = try await pair.migrate(guest(name, on: 1 - target))
            guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        case ("paused"?, nil):
            try await host(1 - target).lab.virsh("resume", "--domain", name)
        case (nil, nil):
            guard let guest = before.guests[name] else { return }
            try await start(name, guest, on: target)
            if guest.isPlugged { try await self.guest(name, on: target).plug(interface(guest)) }
        case (let source, let there):
            if source != nil { _ = try await host(1 - target).lab.run("virsh", "destroy", "--domain", name) }
            if there != "running" { _ = try await host(target).lab.run("virsh", "destroy", "--domain", name) }
        }
    }

    private func isDone(_ action: SoakStep.Action, _ before: SoakModel) async throws -> Bool {
        switch action {
        case .start(let name, let number): return try await runsOnly(name, on: number)
        case .destroy(let name), .crash(let name): return try await states(name) == [nil, nil]
        case .migrate(let name, let target): return try await runsOnly(name, on: target)
        case .reset(let name):
            guard let place = before.guests[name]?.place else { return true }
            return try await runsOnly(name, on: place)
        case .migrateInVain(let name), .saveAndRestore(let name):
            guard let place = before.guests[name]?.place else { return true }
            if try await states(name)[place] == "paused" { _ = try await host(place).lab.run("virsh", "resume", "--domain", name) }
            return try await runsOnly(name, on: place)
        case .plug(let name): return try await interfaces(name, before).contains { $0.mac == before.guests[name]?.pluggedMAC }
        case .unplug(let name): return try await !interfaces(name, before).contains { $0.mac == before.guests[name]?.pluggedMAC }
        case .tap(let name, let taps), .tapInHaste(let name, let taps):
            guard let place = before.guests[name]?.place else { return true }
            let xml = try await host(place).lab.virsh("dumpxml", "--domain", name)
            // libvirt writes another prefix and other quotation marks.
            return xml.components(separatedBy: "tap name=").count - 1 == taps.count
                && taps.allSatisfy { xml.contains("name=\"\($0.name)\" to=\"\($0.destination)\"") }
        }
    }

    private func runsOnly(_ name: String, on number: Int) async throws -> Bool {
        let states = try await states(name)
        return states[number] == "running" && states[1 - number] == nil
    }

    /// A guest's interfaces and their devices, from libvirt.
    func interfaces(_ name: String, _ model: SoakModel) async throws -> [(device: String, mac: String)] {
        guard let place = model.guests[name]?.place else { return [] }
        return try await host(place).lab.virsh("domiflist", "--domain", name).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            return words.count >= 5 ? (words[0], words[4]) : nil
        }
    }

    // MARK: - What breaks

    private func cause(_ step: SoakStep, _ before: SoakModel) async throws {
        let host = host(step.host)
        try await Task.sleep(for: .milliseconds(step.delay))
        switch step.fault {
        case .none: break
        case .daemonKilled, .daemonStopped:
            try await host.stopDaemon(signal: step.fault == .daemonKilled ? "KILL" : "TERM")
            guard step.returns else { return }
            try await Task.sleep(for: .milliseconds(step.duration))
            try await host.startDaemon()
        case .daemonStarts:
            try await host.startDaemon()
        case .daemonHangs:
            try await host.lab.signal("virt-tapd", SIGSTOP)
            try await Task.sleep(for: .milliseconds(step.duration))
            try await host.lab.signal("virt-tapd", SIGCONT)
        case .libvirtdKilled:
            try await host.lab.libvirtd("kill")
            try await Task.sleep(for: .milliseconds(step.duration))
            try await host.lab.libvirtd("start")
        case .libvirtdRestarts:
            try await host.lab.libvirtd("restart")
        case .device(let name, let state):
            try await change(name, from: before.hosts[step.host].devices[name] ?? .up, to: state, host.lab)
        case .programDetached, .pinsRemoved:
            let links = try host.pins().keys.filter { $0.contains("/link-") }.sorted()
            guard !links.isEmpty else { return }
            let attachment = links[step.duration % links.count]
            let path = try host.lab.path("/sys/fs/bpf/virt-tap/1/\(attachment)")
            if step.fault == .programDetached {
                KernelPrograms.detach(path)
            } else {
                try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent)
            }
        case .configured(let configuration):
            try host.configure(Self.text(of: configuration))
            if before.hosts[step.host].hasDaemon { try await host.lab.signal("virt-tapd", SIGHUP) }
        }
    }

    private func change(_ name: String, from before: SoakModel.Device, to after: SoakModel.Device, _ lab: LabHost) async throws {
        switch (before, after) {
        case (.deleted, _):
            try await lab.succeed("ip", "link", "add", "\(name)0", "up", "type", "veth", "peer", "name", "\(name)1")
            try await lab.succeed("ip", "link", "set", "\(name)1", "up")
        case (_, .up): try await lab.succeed("ip", "link", "set", "\(name)0", "up")
        case (_, .down): try await lab.succeed("ip", "link", "set", "\(name)0", "down")
        case (_, .deleted): try await lab.succeed("ip", "link", "delete", "\(name)0")
        }
    }

    private static func text(of configuration: SoakModel.Configuration) -> String {
        let all = TappedHost.configuration
        switch configuration {
        case .all: return all
        case .noTaps: return all.replacingOccurrences(of: "<virt-tap>", with: "<virt-tap><policy taps='no'/>")
        case .withoutSpan:
            return all.split(separator: "\n").filter { !$0.contains("'span'") && !$0.contains("\"span\"") }.joined(separator: "\n")
        }
    }
}
