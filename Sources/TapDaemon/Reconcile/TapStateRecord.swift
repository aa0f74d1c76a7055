// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// A tap's state and since when it has been in it.
struct TapStateRecord: Equatable {
    var state: TapState
    var reason: Reason?
    var since: Timestamp
}
