// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// What an administrator without virt-tap writes: a clsact qdisc and a mirroring filter for each direction.
struct TcScript {
    let devices: [String]

    func run() throws {
        var script = ""
        for device in devices {
            script += "qdisc add dev \(device) clsact\n"
            for side in ["ingress", "egress"] {
                script += "filter add dev \(device) \(side) protocol all u32 match u32 0 0 action mirred egress mirror dev mon0\n"
            }
        }
        try Fleet.batch("tc", script)
    }

    func undo() throws { try Fleet.batch("tc", devices.map { "qdisc del dev \($0) clsact\n" }.joined()) }
}
