// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// One attachment's program in one direction, and where it runs.
struct HookPlace: Hashable {
    let id: AttachmentID
    let direction: Direction
    let point: HookPoint
    /// Only for clsact.
    let filter: AttachmentSpec.ClsactFilter?

    init(_ spec: AttachmentSpec, _ direction: Direction) {
        id = spec.key.id
        self.direction = direction
        point = spec.hookPoint(direction)
        filter = spec.clsact
    }

    init(id: AttachmentID, _ direction: Direction, _ point: HookPoint, filter: AttachmentSpec.ClsactFilter?) {
        self.id = id
        self.direction = direction
        self.point = point
        self.filter = filter
    }
}
