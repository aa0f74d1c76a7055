// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// An end of the relay: the veth pair of ours on which copies are changed before they go on to their destination. The original
/// must not be, and a clone is what the frame was.
enum RelayEnd: CaseIterable {
    /// Where taps send copies. They are cut on their way out, in the same call, so that the tap's program learns of errors.
    case departure
    /// Where GSO packets and frames with unfinished checksums arrive, of which the kernel has made what a wire would
    /// have carried, since the other end can do nothing by itself.
    case arrival

    var device: String {
        switch self {
        case .departure: "\(HostDevice.ownPrefix)cut"
        case .arrival: "\(HostDevice.ownPrefix)cut-in"
        }
    }

    /// What the pin of its program is called.
    var pin: String {
        switch self {
        case .departure: "departure"
        case .arrival: "arrival"
        }
    }

    var isProgramAtEgress: Bool { self == .departure }
}
