// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What the daemon last heard of one domain.
struct KnownDomain {
    var view: DomainView
    /// The bytes that `view.live` and `view.persistent` were read from: the same bytes are not parsed twice.
    var liveXML: [UInt8] = []
    var persistentXML: [UInt8]?
    /// When the hook last said that the domain starts (monotonic seconds). libvirt reports a domain as shut off until
    /// QEMU runs, and that must not end the tap that the hook has just made.
    var startedByHook: Double?

    /// Whether it was seen to start and its taps have not been placed since.
    var isArriving = false
    /// When what is known was asked for (monotonic seconds): an answer to an older question is not taken.
    var asOf = -Double.infinity

    init(view: DomainView) { self.view = view }

    /// How long the hook's word stands against libvirt's "shut off".
    static let startGrace = 60.0

    /// Replaces both definitions, each parsed only when its bytes changed.
    mutating func take(live: [UInt8], persistent: [UInt8]?, parse: ([UInt8]) -> Result<DomainDefinition, Failure>) {
        if live != liveXML || (view.live == nil && view.unreadable == nil) {
            liveXML = live
            view.unreadable = nil
            view.live = nil
            if !live.isEmpty {
                switch parse(live) {
                case .success(let definition): view.live = definition
                case .failure(let failure): view.unreadable = failure
                }
            }
        }
        if persistent != persistentXML {
            persistentXML = persistent
            view.persistent = persistent.flatMap { try? parse($0).get() }
        }
    }
}
