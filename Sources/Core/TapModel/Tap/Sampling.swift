// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which share of the traffic is copied: one in `oneIn`, 1 to 2,147,483,647.
public enum Sampling: Hashable, Codable, Sendable {
    /// `sample`: one packet in N.
    case packets(oneIn: UInt32)
    /// `sample-flows`: every packet, both directions, of one flow in N.
    case flows(oneIn: UInt32)

    public static let range: ClosedRange<UInt32> = 1...2_147_483_647
}
