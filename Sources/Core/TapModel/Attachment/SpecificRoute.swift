// SPDX-License-Identifier: LGPL-2.1-or-later

/// A way to another machine that was not the default route. It is kept with the destination also while nothing can be sent there: who
/// sees only the kernel later is to know that copies do not follow the default route instead.
public struct SpecificRoute: Hashable, Sendable {
    /// 4 or 16 bytes in network order.
    public var remote: [UInt8]
    /// The device's; 0: it has gone.
    public var ifindex: UInt32

    public init(remote: [UInt8], ifindex: UInt32) {
        self.remote = remote
        self.ifindex = ifindex
    }
}
