// SPDX-License-Identifier: LGPL-2.1-or-later

/// What can be said of a tunnel's remote address without asking for the way to it.
public enum RemoteAddress {
    /// Why no copies can ever be sent there; `nil`: they may.
    /// - Parameter remote: 4 or 16 bytes in network order.
    public static func refusal(_ remote: [UInt8]) -> Failure? {
        let target = IPAddress.text(remote)
        // The kernel takes it for an address of its own (0.0.0.0), or sends it somewhere (::).
        if remote.allSatisfy({ $0 == 0 }) { return Failure(.destinationUnsafe, "\(target) is no receiver's address; name one receiver") }
        // What the route says nothing about: it looks like any other. The rest of 240.0.0.0/4 is for the routes to decide, which may lack
        // those for all.
        let isOfMany = remote.count == 4 ? remote[0] & 0xF0 == 0xE0 || remote.allSatisfy { $0 == 255 } : remote[0] == 0xFF
        if isOfMany { return Failure(.destinationUnsafe, "\(target) is an address of many; name one receiver") }
        // fe80::/10: the kernel would take the first link.
        if remote.count == 16, remote[0] == 0xFE, remote[1] & 0xC0 == 0x80 {
            return Failure(.destinationUnsafe, "\(target) may be on any link of this host; use an address of the receiver that is not")
        }
        return nil
    }
}
