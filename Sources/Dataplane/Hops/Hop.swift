// SPDX-License-Identifier: LGPL-2.1-or-later

/// A device of ours on which copies are changed before they go on to their destination: the original must not be, and a
/// clone is what the frame was.
enum Hop: UInt32, CaseIterable {
    /// An ifb device. Copies are cut on their way out of it, in the same call, so that the tap's program learns of errors.
    case cut = 0
    /// A veth pair whose sending end can do nothing by itself: the kernel makes segments of super-packets and finishes
    /// checksums before the other end, where each segment is cut. Segments wait in the processor's
    /// backlog, which others need: taps send no more than fit into half of it.
    case segment = 1

    /// Where taps send copies.
    var device: String {
        switch self {
        case .cut: "virttap-cut"
        case .segment: "virttap-seg"
        }
    }

    /// Where the program is.
    var programDevice: String {
        switch self {
        case .cut: device
        case .segment: "virttap-seg-in"
        }
    }

    var isProgramAtEgress: Bool { self == .cut }

    /// Whether the tap's program cannot be told what became of a copy, so that the hop counts it.
    var counts: Bool { self == .segment }

    var pin: String {
        switch self {
        case .cut: "cut"
        case .segment: "segment"
        }
    }
}
