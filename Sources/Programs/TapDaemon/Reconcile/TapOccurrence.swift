// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// One entry of a domain's taps, for what is remembered between two looks at it.
struct TapOccurrence: Hashable {
    var key: TapKey
    /// Counts the domain's taps of that name: a `duplicate-name` has its twin's.
    var number: Int

    /// Those of a document's taps, in its order.
    static func of(_ taps: [TapStatus]) -> [TapOccurrence] {
        var counts: [TapKey: Int] = [:]
        return taps.map { tap in
            let key = TapKey(domain: tap.uuid, origin: tap.origin, name: tap.name)
            defer { counts[key, default: 0] += 1 }
            return TapOccurrence(key: key, number: counts[key, default: 0])
        }
    }
}
