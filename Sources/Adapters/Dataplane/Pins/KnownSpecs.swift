// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Specs that were read before, by the map that holds them: maps of specs are frozen, and the kernel gives a map's id to
/// another only after two thousand million. Reading one anew costs more than everything else of a look at an attachment.
final class KnownSpecs {
    private static let limit = 16_384

    private var specs: [AttachmentID: (map: UInt32, spec: AttachmentSpec)] = [:]

    subscript(id: AttachmentID, map map: UInt32) -> AttachmentSpec? {
        get {
            guard let known = specs[id], known.map == map else { return nil }
            return known.spec
        }
        set {
            if specs.count >= Self.limit { specs = [:] }
            specs[id] = newValue.map { (map, $0) }
        }
    }
}
