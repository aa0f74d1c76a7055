// SPDX-License-Identifier: LGPL-2.1-or-later

/// A device that is tapped to a destination, and how large the copies of its frames may be.
public struct CopySource: Hashable, Sendable {
    public var device: String
    /// Bytes of an IP packet in the largest copy, as an MTU counts them; GSO packets aside.
    public var largest: UInt32
    /// Where that is so because copies are cut: to so many bytes of a frame.
    public var cut: UInt16?

    /// - Parameter snaplen: what the tap leaves of a frame.
    /// - Returns: `nil` for copies of headers alone, which fit everywhere.
    public init?(_ device: HostDevice, snaplen: Snaplen?) {
        self.device = device.name
        largest = device.mtu
        switch snaplen {
        case nil: break
        case .headers: return nil
        case .bytes(let count):
            // An Ethernet header is no part of an MTU.
            guard UInt32(count) < device.mtu + 14 else { break }
            (largest, cut) = (UInt32(count) - 14, count)
        }
    }
}
