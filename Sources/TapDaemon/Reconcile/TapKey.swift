// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// One tap of one domain, for what is remembered between two looks at it.
struct TapKey: Hashable {
    var domain: DomainUUID
    var origin: TapOrigin
    var name: TapName
    /// Counts the domain's taps of that name: a `duplicate-name` has its twin's.
    var occurrence: Int

    /// The keys of a document's taps, in its order.
    static func of(_ taps: [TapStatus]) -> [TapKey] {
        var counts: [TapKey: Int] = [:]
        return taps.map { tap in
            var key = TapKey(domain: tap.uuid, origin: tap.origin, name: tap.name, occurrence: 0)
            key.occurrence = counts[key, default: 0]
            counts[TapKey(domain: tap.uuid, origin: tap.origin, name: tap.name, occurrence: 0), default: 0] += 1
            return key
        }
    }
}
