// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport

/// Open vSwitch's own mirror of what comes in at the guest's port.
struct SwitchMirror: Attached {
    private let destination: String

    /// - Parameter snaplen: how much of each frame; `nil`: whole frames.
    init(on path: any ForwardingPath, snaplen: Int? = nil) throws {
        destination = path.destination
        let cut = snaplen.map { ["snaplen=\($0)"] } ?? []
        // A port that a mirror puts out is for nothing else; without a mirror it would be a port as others are.
        let words =
            ["add-port", SwitchDaemons.bridge, destination, "--", "--id=@from", "get", "port", path.guest.name]
            + ["--", "--id=@to", "get", "port", destination]
            + ["--", "--id=@mirror", "create", "mirror", "name=bench", "select_src_port=@from", "output_port=@to"] + cut
            + ["--", "set", "bridge", SwitchDaemons.bridge, "mirrors=@mirror"]
        do { try vsctl(words) } catch {
            try? detach()
            throw error
        }
        try run("ovs-appctl", "-T", "20", "revalidator/purge")
    }

    func detach() throws {
        try vsctl(["clear", "bridge", SwitchDaemons.bridge, "mirrors", "--", "--if-exists", "del-port", SwitchDaemons.bridge, destination])
        try run("ovs-appctl", "-T", "20", "revalidator/purge")
    }

    private func vsctl(_ words: [String]) throws {
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        try run("bash", "-c", "exec ovs-vsctl --timeout=60 \(quoted)")
    }

    static var variants: [Variant] {
        [
            Variant(name: "ovs-mirror", title: "Open vSwitch's mirror, everything", kind: .peer, expected: .whole(1)) { path in
                try SwitchMirror(on: path)
            },
            Variant(name: "ovs-snaplen", title: "Open vSwitch's mirror, snaplen 128", kind: .peer, expected: .cut(to: 128)) { path in
                try SwitchMirror(on: path, snaplen: 128)
            },
        ]
    }
}
