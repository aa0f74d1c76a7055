// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The destinations that all attachments share.
extension KernelDataplane {
    @discardableResult
    public func setDestination(_ label: String, _ route: DestinationRoute) throws(Failure) -> Bool {
        try reporting("destination \"\(label)\"") {
            try makeLayout()
            guard let (maps, areNew) = try SharedMaps.open(pins, create: true) else { return false }
            try DestinationTable(maps: maps, kernel: kernel).set(label, route)
            return areNew
        }
    }

    public func refreshOffloads() throws(Failure) {
        try reporting("looking what the destinations' devices take") { try destinationTable()?.refreshOffloads() }
    }

    public func destinations() throws(Failure) -> [DestinationRecord] {
        try reporting("reading the destinations") { try destinationTable()?.records() ?? [] }
    }

    public func forgetDestination(_ label: String) throws(Failure) {
        try reporting("destination \"\(label)\"") {
            for id in try pins.attachmentIDs() {
                if let spec = try specs.read(id), spec.options.destination == label {
                    throw Failure(.attachFailed, "it is still used by tap \"\(spec.key.tap)\" of \(spec.domainName)")
                }
            }
            try destinationTable()?.forget(label)
        }
    }

    func destinationTable() throws -> DestinationTable? {
        try SharedMaps.open(pins, create: false).map { DestinationTable(maps: $0.maps, kernel: kernel) }
    }
}
