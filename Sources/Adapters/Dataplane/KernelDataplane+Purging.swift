// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// Removing everything of virt-tap's.
extension KernelDataplane {
    public func purge() throws(Failure) -> Int {
        try reporting("removing everything of virt-tap's") {
            // All of it first: what is refused is refused as a whole.
            try pins.open(pins.top)?.requireOursThroughout()
            // Held while it lasts, if this object has none to keep.
            let guarding = pinClaim.isWanted ? pinClaim : PinClaim()
            if pins.exists(pins.top) { try guarding.take(pins) }
            defer { if guarding !== pinClaim { guarding.release() } }
            let ids = try pins.attachmentIDs()
            var first: (any Error)?
            for id in ids {
                do { try remove(id) } catch { first = first ?? error }
            }
            if let first { throw first }
            var others = 0
            for entry in try pins.entries(in: pins.top) where entry.isDirectory && entry.name != "\(MapLayout.version)" {
                others += try pins.entries(in: "\(pins.top)/\(entry.name)").count { AttachmentID(directory: $0.name) != nil }
            }
            let orphans = try purgeFilters()
            for entry in try pins.entries(in: pins.layout) where entry.name.hasPrefix("qdisc-") {
                if let ifindex = UInt32(entry.name.dropFirst("qdisc-".count), radix: 16) { try clsact.releaseQdisc(ifindex) }
            }
            try relay.remove()
            _ = try ports.remove(but: [])
            try pins.removeAll()
            return ids.count + others + orphans
        }
    }

    /// Removes every filter of ours that no pin tells of.
    /// - Returns: of how many attachments they were.
    private func purgeFilters() throws -> Int {
        try TrafficControl.filterDevices(kernel).reduce(0) { count, ifindex in
            let filters = try clsact.ownFilters(ifindex)
            for filter in filters { try clsact.remove(filter) }
            return count + Set(filters.map { AttachmentSpec.ClsactFilter(priority: $0.priority, handle: $0.handle) }).count
        }
    }
}
