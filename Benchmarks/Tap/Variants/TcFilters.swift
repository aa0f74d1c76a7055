// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport

/// What an administrator without virt-tap writes: a clsact qdisc and filters that mirror.
struct TcFilters: Attached {
    private let devices: [String]

    /// - Parameters:
    ///   - matches: the classifier and what it matches, one filter each, all of the same protocol.
    ///   - copies: how many of each frame that matches.
    init(on path: any ForwardingPath, protocol: String = "all", _ matches: [String], copies: Int = 1) throws {
        try self.init(devices: [path.guest.name], hooks: ["ingress"], protocol: `protocol`, matches, copies: copies, to: path.destination)
    }

    init(
        devices: [String], hooks: [String], protocol: String = "all", _ matches: [String], copies: Int = 1, to destination: String
    ) throws {
        self.devices = devices
        var script = ""
        for device in devices {
            script += "qdisc add dev \(device) clsact\n"
            for hook in hooks {
                for match in matches {
                    script += "filter add dev \(device) \(hook) protocol \(`protocol`) prio 1 \(match)"
                    script += String(repeating: " action mirred egress mirror dev \(destination)", count: copies) + "\n"
                }
            }
        }
        do { try run("tc", "-batch", "-", input: script) } catch {
            try? detach()
            throw error
        }
    }

    func detach() throws {
        try run("tc", "-batch", "-", input: devices.map { "qdisc del dev \($0) clsact\n" }.joined())
    }
}
