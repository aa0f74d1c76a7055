// SPDX-License-Identifier: LGPL-2.1-or-later

/// One test frame, where it was given to a tap, and what became of it there.
public struct TestFrameResult: Hashable, Codable, Sendable {
    /// `TestFrame.number`.
    public var number: UInt16
    public var tap: TapName
    public var origin: TapOrigin
    /// The tapped device.
    public var device: String
    @Nullable public var alias: String?
    public var direction: Direction
    /// `nil`: it was not sent.
    @Nullable public var outcome: TestFrameOutcome?
    /// Why not.
    @Nullable public var message: String?

    public init(
        number: UInt16, tap: TapName, origin: TapOrigin, device: String, alias: String?, direction: Direction, outcome: TestFrameOutcome? = nil,
        message: String? = nil
    ) {
        self.number = number
        self.tap = tap
        self.origin = origin
        self.device = device
        self.alias = alias
        self.direction = direction
        self.outcome = outcome
        self.message = message
    }
}
