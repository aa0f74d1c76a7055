// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the kernel holds, and what it refused, for status.
public struct KernelView: Sendable {
    public var attachments: [AttachmentID: ObservedAttachment]
    public var counters: [AttachmentID: [Direction: DirectionCounters]]
    /// Why the last attempt at an attachment failed.
    public var failures: [AttachmentID: Failure]
    public var destinations: [DestinationRecord]
    /// Frames with our mark that came of late: what of them can be no copies is told.
    public var marks = MarkWatch()

    public init(
        attachments: [AttachmentID: ObservedAttachment] = [:], counters: [AttachmentID: [Direction: DirectionCounters]] = [:],
        failures: [AttachmentID: Failure] = [:], destinations: [DestinationRecord] = []
    ) {
        self.attachments = attachments
        self.counters = counters
        self.failures = failures
        self.destinations = destinations
    }
}
