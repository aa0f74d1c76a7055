// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// Which taps `virt-tap test` asks the daemon to test.
public struct TestCall: Hashable, Sendable {
    public var domain: DomainUUID
    /// `nil`: all of the domain's.
    public var tap: TapName?
    /// What the frames are known by: `TestFrame`. Whoever asks looks for them.
    public var token: UInt64

    public init(domain: DomainUUID, tap: TapName?, token: UInt64) {
        self.domain = domain
        self.tap = tap
        self.token = token
    }
}
