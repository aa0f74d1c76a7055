// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The attachments that the kernel holds, found by id or by domain.
struct AttachmentTable {
    private var byDomain: [String: [AttachmentID: ObservedAttachment]] = [:]

    init(_ attachments: [ObservedAttachment] = []) {
        for attachment in attachments { self[attachment.id] = attachment }
    }

    subscript(id: AttachmentID) -> ObservedAttachment? {
        get { byDomain[id.domain]?[id] }
        set {
            byDomain[id.domain, default: [:]][id] = newValue
            if byDomain[id.domain]?.isEmpty == true { byDomain[id.domain] = nil }
        }
    }

    func of(_ domain: DomainUUID) -> [ObservedAttachment] { (byDomain[domain.hex] ?? [:]).values.map { $0 } }

    var all: [ObservedAttachment] { byDomain.values.flatMap(\.values) }

    var count: Int { byDomain.values.reduce(0) { $0 + $1.count } }
}
