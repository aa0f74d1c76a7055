// SPDX-License-Identifier: LGPL-2.1-or-later

/// What the programs of one attachment do: the part of a tap that the kernel carries out.
///
/// Two equal values need the same programs; a different one replaces them in place. What later versions can choose
/// (filter, cut, sampling, rate) is added here, and an older spec without it decodes as "not chosen".
public struct CopyWish: Hashable, Codable, Sendable {
    public var direction: TapDirection
    /// The destination's label; the destination map says which device that is at the moment.
    public var destination: String
    public var mark: PacketMark

    public init(direction: TapDirection, destination: String, mark: PacketMark) {
        self.direction = direction
        self.destination = destination
        self.mark = mark
    }
}
