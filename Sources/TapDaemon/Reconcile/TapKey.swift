// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// One tap of one domain, for what is remembered between two looks at it.
struct TapKey: Hashable {
    var domain: DomainUUID
    var origin: TapOrigin
    var name: TapName
}
