// SPDX-License-Identifier: LGPL-2.1-or-later

/// The upper limit of what one tap copies, all interfaces and both directions together; or a destination's, or the host's.
public struct RateLimit: Hashable, Codable, Sendable {
    public enum Unit: String, Codable, Sendable {
        /// Of bytes after the cut and before encapsulation.
        case bitsPerSecond
        case packetsPerSecond

        /// A measured rate for people, such as `12.3 Gbit/s`.
        func text(_ perSecond: Double) -> String {
            let name = self == .bitsPerSecond ? "bit/s" : "packets/s"
            let tenths = { (value: Double) in
                let tenths = Int((value * 10).rounded())
                return tenths % 10 == 0 || tenths >= 1_000 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
            }
            switch (self, perSecond) {
            case (.bitsPerSecond, 1e9...): return "\(tenths(perSecond / 1e9)) G\(name)"
            case (.bitsPerSecond, 1e6...): return "\(tenths(perSecond / 1e6)) M\(name)"
            case (.bitsPerSecond, 1e3...): return "\(tenths(perSecond / 1e3)) k\(name)"
            default: return "\(Int(perSecond.rounded())) \(name)"
            }
        }
    }

    /// Greater than zero.
    public var perSecond: UInt64
    public var unit: Unit
    /// What may come at once, in bytes or in packets as `unit` says; `nil`: chosen by virt-tap.
    public var burst: UInt64?
    /// As it was written (`100mbit`), for status and for writing it back.
    public var text: String
    /// As `burst` was written (`64k`).
    public var burstText: String?

    public init(perSecond: UInt64, unit: Unit, burst: UInt64?, text: String, burstText: String?) {
        self.perSecond = perSecond
        self.unit = unit
        self.burst = burst
        self.text = text
        self.burstText = burstText
    }
}
