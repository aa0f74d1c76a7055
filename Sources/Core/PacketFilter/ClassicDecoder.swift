// SPDX-License-Identifier: LGPL-2.1-or-later

/// Reads single instructions, and refuses what the kernel's own check of a socket filter (`bpf_check_classic`) does and
/// what a tap cannot answer.
struct ClassicDecoder {
    let count: Int

    // SKF_AD_… of linux/filter.h.
    private static let ancillary: UInt32 = 0xFFFF_F000
    private static let packetType: UInt32 = ancillary + 4
    private static let metadata: [UInt32: Metadatum] = [
        ancillary + 44: .vlanTag, ancillary + 48: .vlanTagPresent, ancillary + 60: .vlanProtocol,
    ]

    func decode(_ instruction: ClassicInstruction, at place: Int) throws(FilterError) -> ClassicOperation {
        let constant = instruction.constant
        // Class, then size, mode, operation, source: BPF_CLASS and so on of linux/bpf_common.h.
        switch instruction.code {
        case 0x20, 0x28, 0x30: return try absolute(constant, Self.width(instruction.code), place)
        case 0x40, 0x48, 0x50: return .loadIndirect(constant, Self.width(instruction.code))
        case 0xB1:
            guard constant <= UInt32(Int32.max) else { throw beforeTheFrame(constant, place) }
            return .loadHeaderLength(constant)
        case 0x80: return .loadMetadatum(.length, .a)
        case 0x81: return .loadMetadatum(.length, .x)
        case 0x00: return .loadConstant(constant, .a)
        case 0x01: return .loadConstant(constant, .x)
        case 0x60: return .loadScratch(try slot(constant, place), .a)
        case 0x61: return .loadScratch(try slot(constant, place), .x)
        case 0x02: return .store(try slot(constant, place), .a)
        case 0x03: return .store(try slot(constant, place), .x)
        case 0x84: return .negate
        case 0x07: return .copyAToX
        case 0x87: return .copyXToA
        case 0x06: return .returnConstant(constant)
        case 0x16: return .returnA
        case 0x05: return .jump(try target(place, constant))
        default: break
        }
        let operand: Operand = instruction.code & 0x08 == 0 ? .constant(constant) : .x
        let operation = UInt8(truncatingIfNeeded: instruction.code & 0xF0)
        switch instruction.code & ~0xF8 {
        case 0x04:
            guard let arithmetic = Arithmetic(rawValue: operation) else { break }
            if operand == .constant(0), arithmetic.divides { throw .malformed("instruction \(place) divides by 0") }
            if case .constant(32...) = operand, arithmetic.shifts {
                throw .malformed("instruction \(place) shifts 32 bits by \(constant)")
            }
            return .arithmetic(arithmetic, operand)
        case 0x05:
            guard let comparison = Comparison(rawValue: operation) else { break }
            return .branch(
                comparison, operand, try target(place, UInt32(instruction.jumpTrue)), try target(place, UInt32(instruction.jumpFalse)))
        default: break
        }
        throw .malformed("instruction \(place) has the unknown code 0x\(String(instruction.code, radix: 16))")
    }

    /// `BPF_SIZE` of a load.
    private static func width(_ code: UInt16) -> LoadWidth {
        switch code & 0x18 {
        case 0x00: .word
        case 0x08: .half
        default: .byte
        }
    }

    private func absolute(_ offset: UInt32, _ width: LoadWidth, _ place: Int) throws(FilterError) -> ClassicOperation {
        if let metadatum = Self.metadata[offset] { return .loadMetadatum(metadatum, .a) }
        if offset == Self.packetType {
            throw .unsupported(
                "`inbound` and `outbound` are not for the filter: on the host's side of a guest's device they mean the reverse; "
                    + "use the tap's attribute `direction` instead")
        }
        guard offset <= UInt32(Int32.max) else { throw beforeTheFrame(offset, place) }
        return .loadAbsolute(offset, width)
    }

    /// What the kernel takes as a place relative to another header, or as one more datum beside the frame.
    private func beforeTheFrame(_ offset: UInt32, _ place: Int) -> FilterError {
        .unsupported(
            "instruction \(place) reads at offset \(Int32(bitPattern: offset)), which is not in the frame; "
                + "of what is beside the frame a filter can ask for the VLAN tag only")
    }

    private func slot(_ number: UInt32, _ place: Int) throws(FilterError) -> Int {
        guard number < 16 else { throw .malformed("instruction \(place) uses scratch slot \(number); there are 16, from 0") }
        return Int(number)
    }

    private func target(_ place: Int, _ distance: UInt32) throws(FilterError) -> Int {
        guard distance <= UInt32(Int32.max) else {
            throw .unsupported(
                "it makes a loop at instruction \(place), as `protochain` does, and a filter in the kernel may have none; "
                    + "name the headers instead, such as `ip6 proto 0` or `ip6[40] == 6`")
        }
        let target = place + 1 + Int(distance)
        guard target < count else { throw .malformed("instruction \(place) jumps behind the end") }
        return target
    }
}
