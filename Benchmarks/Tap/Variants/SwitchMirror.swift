// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport

/// Open vSwitch's own mirror of what comes in at the guest's port.
struct SwitchMirror: Attached {
    private let port: String
    /// Only with copies for another machine.
    private let link: TunnelLink?

    /// - Parameters:
    ///   - snaplen: how much of each frame; `nil`: whole frames.
    ///   - byVXLAN: into a tunnel of the switch's own, to the machine at the copies' far end.
    init(on path: any ForwardingPath, snaplen: Int? = nil, byVXLAN: Bool = false) throws {
        port = byVXLAN ? "vxlan9" : path.destination
        link = byVXLAN ? try TunnelLink(on: path) : nil
        let kind = byVXLAN ? ["--", "set", "interface", port, "type=vxlan"] + TunnelLink.switchOptions.map { "options:\($0)" } : []
        let snapWords = snaplen.map { ["snaplen=\($0)"] } ?? []
        // A port that a mirror puts out is for nothing else; without a mirror it would be a port as others are.
        let words =
            ["add-port", SwitchDaemons.bridge, port] + kind + ["--", "--id=@from", "get", "port", path.guest.name]
            + ["--", "--id=@to", "get", "port", port]
            + ["--", "--id=@mirror", "create", "mirror", "name=bench", "select_src_port=@from", "output_port=@to"] + snapWords
            + ["--", "set", "bridge", SwitchDaemons.bridge, "mirrors=@mirror"]
        do {
            try vsctl(words)
            try run("ovs-appctl", "-T", "20", "revalidator/purge")
        } catch {
            try? detach()
            throw error
        }
    }

    func detach() throws {
        try vsctl(["clear", "bridge", SwitchDaemons.bridge, "mirrors", "--", "--if-exists", "del-port", SwitchDaemons.bridge, port])
        try run("ovs-appctl", "-T", "20", "revalidator/purge")
        try link?.remove()
    }

    private func vsctl(_ words: [String]) throws {
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        try run("bash", "-c", "exec ovs-vsctl --timeout=60 \(quoted)")
    }

    static var variants: [Variant] {
        func mirror(_ name: String, _ title: String, _ expected: CopyExpectation, snaplen: Int? = nil, byVXLAN: Bool = false) -> Variant {
            Variant(name: name, title: "Open vSwitch's mirror\(title)", kind: .peer, expected: expected) {
                try SwitchMirror(on: $0, snaplen: snaplen, byVXLAN: byVXLAN)
            }
        }
        return [
            mirror("ovs-mirror", ", everything", .whole(1)),
            mirror("ovs-snaplen", ", snaplen 128", .truncated(to: 128), snaplen: 128),
            mirror("ovs-vxlan", " by VXLAN, everything", .encapsulated(in: TunnelLink.overhead), byVXLAN: true),
            mirror(
                "ovs-vxlan-snaplen", " by VXLAN, snaplen 128", .truncatedAndEncapsulated(to: 128, in: TunnelLink.overhead), snaplen: 128,
                byVXLAN: true),
        ]
    }
}
