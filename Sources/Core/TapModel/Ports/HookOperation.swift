// SPDX-License-Identifier: LGPL-2.1-or-later

/// The operations at which libvirt calls its qemu hook and virt-tap has anything to do; a later libvirt may have others.
///
/// hooks/qemu calls virt-tap at those that concern the daemon, and has a list of its own of them, since it must do no harm without its
/// binary.
public enum HookOperation: String, CaseIterable, Sendable {
    case prepare, start, started, stopped, release, migrate, restore, reconnect, attach

    /// Whether libvirt takes a refusal and nothing runs yet. At `reconnect` it would kill the guest, at `migrate` and
    /// `restore` it would end those.
    public var isRefusable: Bool { self == .prepare || self == .start }

    /// Whether the daemon has anything to do: before the devices exist it has not.
    public var concernsDaemon: Bool { hasDevices || self == .stopped || self == .release }

    /// Whether libvirt is kept waiting until the daemon is done: only before the guest runs. All others tell it something
    /// that it would find out by itself.
    public var waitsForDaemon: Bool { self == .start }

    /// Whether the domain's devices exist and are to stay.
    public var hasDevices: Bool { [.start, .started, .reconnect, .attach].contains(self) }
}
