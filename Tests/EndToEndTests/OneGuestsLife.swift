// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

extension EndToEnd {
    /// One guest, `life`, with which everything happens that libvirt can do to a domain.
    ///
    /// Its definition has a tap `t` to `ids`. As long as it runs it sends numbered packets to everybody: a burst as soon
    /// as it can, then one every ten milliseconds. A test finds it running so and leaves it as it likes.
    @Suite(.serialized, .tappedHost { host in try await host.defineLife() })
    enum OneGuestsLife {}
}

/// What tests need to know of the guest `life`.
enum Life {
    static let mac = "52:54:00:aa:cc:01"
    /// How many packets it sends as soon as it can.
    static let burst = 100
    /// Its XML as it was defined first, a file in the host.
    static let definition = "/run/life.xml"
}

extension TappedHost {
    var life: Guest { Guest(host: lab, name: "life") }

    fileprivate func defineLife() async throws {
        var options = GuestOptions(
            append: "vt.burst=\(Life.burst):192.0.2.255 vt.ping=192.0.2.255:10",
            metadata: "<t:tap xmlns:t='urn:virt-tap:1' name='t' to='ids'/>", start: false)
        options.nics = ["bridge=br0,ip=192.0.2.31/24,mac=\(Life.mac)"]
        try await lab.guest("life", options)
        // Snapshots of a running guest need a disk that can hold them.
        let disk = "/var/lib/libvirt/life.qcow2"
        try await lab.succeed("qemu-img", "create", "-q", "-f", "qcow2", disk, "1M")
        try await lab.virsh("attach-disk", "life", disk, "vda", "--targetbus", "virtio", "--subdriver", "qcow2", "--config")
        try await lab.succeed("sh", "-c", "virsh dumpxml --inactive life >\(Life.definition)")
    }

    /// The guest as it was defined first, running, tapped, and seen from now on.
    ///
    /// - Parameter isBooted: wait until it sends.
    func lifeGoesOn(isBooted: Bool = true) async throws -> Witness {
        if try await lab.pid(of: "libvirtd") == nil { try await lab.libvirtd("start") }
        try await lab.virsh("define", Life.definition)
        let state = try await life.state
        let definition = try await tap("t", of: "life")?.definition
        let isAsDefined = state == "running" && definition == .both
        if isAsDefined {
            try await lab.virsh("suspend", "life")
        } else if state != "shut off" {
            try await life.destroy()
        }
        let witness = try await Witness(life, mac: Life.mac)
        if isAsDefined { try await lab.virsh("resume", "life") } else { try await life.start() }
        if isBooted { try await witness.moves(at: witness.ids) }
        return witness
    }

    /// What status says of the tap at once, without waiting for anything, while the guest has a device that it did not
    /// have `before`: it is active there, and nothing of the old device is left.
    func isTappedOnANewDevice(
        _ guest: Guest, since before: TapStatus, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TapStatus {
        let tap = try #require(try await tap(before.name.text, of: guest.name), sourceLocation: sourceLocation)
        #expect(tap.state == .active, "\(tap.reason?.rawValue ?? ""): \(tap.message ?? "")", sourceLocation: sourceLocation)
        #expect(tap.interfaces.first?.ifindex != before.interfaces.first?.ifindex, sourceLocation: sourceLocation)
        #expect(try await attachments(of: guest) == 1, sourceLocation: sourceLocation)
        return tap
    }

    /// How many attachments of a guest have pins.
    func attachments(of guest: Guest) async throws -> Int {
        try await Set(pins(of: guest).keys.map { $0.prefix { $0 != "/" } }).count
    }

    /// Ends QEMU as a crash does.
    func killQEMU(of guest: Guest) async throws {
        try await lab.succeed("sh", "-c", "kill -KILL $(cat /run/libvirt/qemu/\(guest.name).pid)")
    }
}
