// SPDX-License-Identifier: LGPL-2.1-or-later

public import PacketFilter

/// `host A or host B or …` as libpcap compiles it, for more hosts than libpcap takes in a minute.
public enum HostChain {
    /// - Parameter tag: as behind `vlan and`, with offsets in the scratch memory.
    public static func instructions(_ count: Int, tag: Bool = false) -> [ClassicInstruction] {
        var program: [ClassicInstruction] = []
        if tag {
            program += [
                .init(code: 0x00, constant: 0), .init(code: 0x02, constant: 0), .init(code: 0x30, constant: 0xFFFF_F030),
                .init(code: 0x15, jumpTrue: 4, constant: 1), .init(code: 0x00, constant: 4), .init(code: 0x02, constant: 0),
                .init(code: 0x28, constant: 12), .init(code: 0x15, jumpFalse: 1, constant: 0x8100), .init(code: 0x05, constant: 1),
                .init(code: 0x06, constant: 0),
            ]
        }
        func load(_ offset: UInt32, _ width: UInt16) {
            if tag { program.append(.init(code: 0x61, constant: 0)) }
            program.append(.init(code: (tag ? 0x40 : 0x20) | width, constant: offset))
        }
        load(12, 0x08)
        program += [.init(code: 0x15, jumpFalse: 1, constant: 0x800), .init(code: 0x05, constant: 1), .init(code: 0x06, constant: 0)]
        for offset: UInt32 in [26, 30] {
            load(offset, 0)
            for host in 0..<UInt32(count) {
                program += [.init(code: 0x15, jumpFalse: 1, constant: 0x0A00_0000 + host), .init(code: 0x06, constant: 262_144)]
            }
        }
        return program + [.init(code: 0x06, constant: 0)]
    }
}
