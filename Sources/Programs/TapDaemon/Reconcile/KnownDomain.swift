// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What the daemon last heard of one domain.
struct KnownDomain {
    var view: DomainView
    /// Of the bytes that `view.live` and `view.persistent` were read from: the same bytes are not parsed twice.
    private var liveDigest: Int?
    private var persistentDigest: Int?
    /// When the hook last said that the domain starts (monotonic seconds). libvirt reports a domain as shut off until
    /// QEMU runs, and that must not end the tap that the hook has just made.
    var startedByHook: Double?

    /// Whether the libvirt that is listened to has told of it, and not only the hook.
    var isLibvirts = false
    /// Whether it was seen to start and its taps have not been placed since.
    var isArriving = false
    /// When what is known was asked for (monotonic seconds): an answer to an older question is not taken.
    var asOf = -Double.infinity

    init(view: DomainView) { self.view = view }

    /// How long the hook's word stands against libvirt's "shut off".
    static let startGrace = 60.0

    /// Takes what the hook brought: a domain that starts, as it will run.
    mutating func take(starting definition: DomainDefinition, xml: [UInt8]) {
        view.name = definition.name
        view.isRunning = true
        view.unreadable = nil
        view.live = definition
        liveDigest = Self.digest(xml)
    }

    /// Replaces both definitions, each parsed only when its bytes changed.
    mutating func take(live: [UInt8], persistent: [UInt8]?, parse: ([UInt8]) -> Result<DomainDefinition, Failure>) {
        let newLive = Self.digest(live)
        if newLive != liveDigest || (view.live == nil && view.unreadable == nil) {
            liveDigest = newLive
            view.unreadable = nil
            view.live = nil
            if !live.isEmpty {
                switch parse(live) {
                case .success(let definition): view.live = definition
                case .failure(let failure): view.unreadable = failure
                }
            }
        }
        let newPersistent = persistent.map(Self.digest)
        if newPersistent != persistentDigest {
            persistentDigest = newPersistent
            view.persistent = persistent.flatMap { try? parse($0).get() }
        }
    }

    /// The XML of a thousand domains would be most of the daemon's memory. Keyed anew in each process, so that nobody can
    /// choose XML that is taken for another.
    private static func digest(_ xml: [UInt8]) -> Int {
        var hasher = Hasher()
        xml.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}
