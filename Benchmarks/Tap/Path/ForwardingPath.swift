// SPDX-License-Identifier: LGPL-2.1-or-later

/// A guest's device, something that forwards what the guest sends, and the two ends at which frames are counted:
///
///     guest (this process) ── vnet ── bridge or switch ── port ──veth── peer: the originals
///                                        destination ──veth── sensor: the copies
protocol ForwardingPath: AnyObject {
    /// For people: "bridge", "Open vSwitch".
    var title: String { get }
    var guest: GuestDevice { get }
    /// The device that copies are sent to.
    var destination: String { get }
    var destinationIndex: UInt32 { get }
    /// The other end of that device, where copies arrive.
    var sensorDevice: String { get }
    var peer: FarEnd { get }
    var sensor: FarEnd { get }
    /// Whether what forwards makes up its mind about a flow behind our back, so that copies may come late at first.
    var decidesLate: Bool { get }
    /// Whatever has to be so again before each sample: what was learned may have been forgotten.
    func prepare() throws
}
