// SPDX-License-Identifier: LGPL-2.1-or-later

/// Where domains come from: libvirt, or a stand-in in tests.
///
/// Implementations never block the caller's thread pool: calls into libvirt run on a thread of their own. A thrown
/// error means "not known" and never "not there".
public protocol DomainSource: Sendable {
    /// Events since the source was started, in order, buffered without bound (one small value each).
    /// Has one consumer.
    var events: AsyncStream<HypervisorEvent> { get }

    /// Every domain, running or not.
    /// - Throws: `Failure` with `libvirt-disconnected`, or with libvirt's own words.
    func domains() async throws -> [DomainSnapshot]

    /// One domain, or `nil` when libvirt says positively that there is none with this UUID.
    /// - Throws: as `domains()`.
    func domain(_ uuid: DomainUUID) async throws -> DomainSnapshot?
}
