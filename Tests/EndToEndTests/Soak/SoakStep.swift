// SPDX-License-Identifier: LGPL-2.1-or-later

/// One step of a soak: something that is done to a guest, and something that breaks while it is done.
struct SoakStep: Hashable, Sendable, CustomStringConvertible {
    /// Hosts are 0 and 1.
    enum Action: Hashable, Sendable {
        case start(guest: String, host: Int)
        case destroy(guest: String)
        /// Its QEMU is killed.
        case crash(guest: String)
        case migrate(guest: String, to: Int)
        /// A migration that is cancelled in the middle.
        case migrateInVain(guest: String)
        case plug(guest: String)
        case unplug(guest: String)
        case tap(guest: String, [SoakTap])
        case nothing
    }

    enum Fault: Hashable, Sendable {
        case daemonKilled, daemonStopped, daemonHangs
        /// One that was down comes back.
        case daemonStarts
        case libvirtdKilled, libvirtdRestarts
        case device(String, SoakModel.Device)
        case configured(SoakModel.Configuration)
        case none

        /// What it is counted as.
        var name: String {
            switch self {
            case .device(_, let state): "destination \(state)"
            case .configured(let configuration): "configuration \(configuration)"
            default: "\(self)"
            }
        }

        /// Whether calls to libvirt may fail while it lasts.
        var disturbsLibvirt: Bool { self == .libvirtdKilled || self == .libvirtdRestarts }
    }

    var action: Action
    var fault: Fault
    /// Where the fault is.
    var host: Int
    /// Milliseconds from the beginning of the action to the fault, and from the fault to its end if it has one.
    var delay: Int
    var duration: Int
    /// Whether a daemon that is killed or stopped comes back in this step.
    var returns: Bool

    var description: String {
        let fault = fault == .none ? "" : "; after \(delay) ms \(fault) on host \(host)\(returns ? " for \(duration) ms" : "")"
        return "\(action)\(fault)"
    }
}
