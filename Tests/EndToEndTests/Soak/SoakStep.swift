// SPDX-License-Identifier: LGPL-2.1-or-later

/// One step of a soak: what is done to one guest or to two at once, and something that breaks while it is done.
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
        /// Several changes of its metadata on one another's heels, the last of them to this.
        case tapInHaste(guest: String, [SoakTap])
        /// Its memory goes to a file and comes back, and its devices are made anew.
        case saveAndRestore(guest: String)
        case reset(guest: String)

        var guest: String {
            switch self {
            case .start(let guest, _), .destroy(let guest), .crash(let guest), .migrate(let guest, _), .migrateInVain(let guest),
                .plug(let guest), .unplug(let guest), .tap(let guest, _), .tapInHaste(let guest, _), .saveAndRestore(let guest),
                .reset(let guest):
                guest
            }
        }

        /// What it is counted as.
        var name: String { String("\(self)".prefix { $0 != "(" }) }

        /// Milliseconds that it takes, about.
        var length: Int {
            switch self {
            case .tap, .tapInHaste, .plug, .reset: 250
            case .destroy, .crash: 400
            case .start, .unplug: 800
            case .migrate, .migrateInVain, .saveAndRestore: 1_800
            }
        }
    }

    enum Fault: Hashable, Sendable {
        case daemonKilled, daemonStopped, daemonHangs
        /// One that was down comes back.
        case daemonStarts
        case libvirtdKilled, libvirtdRestarts
        case device(String, SoakModel.Device)
        /// Somebody else takes a tap's program from its device, or its pins.
        case programDetached, pinsRemoved
        case configured(SoakModel.Configuration)
        case none

        /// What it is counted as.
        var name: String {
            switch self {
            case .device(let name, let state): "\(name) \(state)"
            case .configured(let configuration): "configuration \(configuration)"
            default: "\(self)"
            }
        }

        /// Whether calls to libvirt may fail while it lasts.
        var disturbsLibvirt: Bool { self == .libvirtdKilled || self == .libvirtdRestarts }
    }

    var actions: [Action]
    var fault: Fault
    /// Where the fault is.
    var host: Int
    /// Milliseconds from the beginning of the action to the fault, and from the fault to its end if it has one.
    var delay: Int
    var duration: Int
    /// Whether a daemon that is killed or stopped comes back in this step.
    var returns: Bool

    var description: String {
        let words = actions.map { action in
            switch action {
            case .tap(let guest, let taps), .tapInHaste(let guest, let taps): "\(action.name)(\(guest): \(taps.map(\.name)))"
            default: "\(action)"
            }
        }
        let fault = fault == .none ? "" : "; after \(delay) ms \(fault.name) on host \(host)\(returns ? " for \(duration) ms" : "")"
        return words.joined(separator: " and ") + fault
    }
}
