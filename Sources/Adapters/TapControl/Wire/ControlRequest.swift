// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a client asks of the daemon.
public enum ControlRequest: Hashable, Sendable {
    /// The status document, whole; the client filters.
    case status
    /// Whether somebody is there.
    case ping
    /// Remove everything from the kernel and pause until a reload.
    case purge
    /// Read the configuration again, and say whether it was taken.
    case reload
    /// Send a marked frame along the path of each tap of a domain.
    case test(TestCall)
    /// What the daemon can do with the rights that it has: it loads programs and lets them go. The answer's body is JSON.
    case examine
    /// libvirt called the qemu hook.
    case hook(HookCall)

    /// The name on the wire.
    public var name: String {
        switch self {
        case .status: "status"
        case .ping: "ping"
        case .purge: "purge"
        case .reload: "reload"
        case .test: "test"
        case .examine: "examine"
        case .hook: "hook"
        }
    }

    /// Whether it changes nothing and costs little, so that it may be asked on the read-only socket.
    public var isReadOnly: Bool {
        switch self {
        case .status, .ping: true
        case .purge, .reload, .test, .examine, .hook: false
        }
    }
}
