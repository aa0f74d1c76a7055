// SPDX-License-Identifier: LGPL-2.1-or-later

/// A classic BPF program that has been checked: every path ends in a return, each instruction is known and reads only what exists.
///
/// Scratch memory is 0 before it is written. The kernel refuses a socket filter that reads it earlier, but libpcap compiles
/// `vlan and pppoes` to one.
public struct ClassicProgram: Hashable, Sendable {
    public let instructions: [ClassicInstruction]
    /// The same instructions, decoded.
    let operations: [ClassicOperation]

    /// More than the 4,096 (`BPF_MAXINSNS`) that the kernel accepts for a socket filter, since libpcap emits longer programs.
    public static let maximumCount = 32_768

    /// - Throws: `FilterError.malformed` when it is not what libpcap emits, `.unsupported` when it asks for something that
    ///   a tap cannot answer, `.tooLarge` above `maximumCount`.
    public init(_ instructions: [ClassicInstruction]) throws(FilterError) {
        guard !instructions.isEmpty else { throw .malformed("it is empty") }
        guard instructions.count <= Self.maximumCount else { throw .tooLarge(instructions: instructions.count) }
        let decoder = ClassicDecoder(count: instructions.count)
        var operations: [ClassicOperation] = []
        operations.reserveCapacity(instructions.count)
        for (position, instruction) in instructions.enumerated() {
            operations.append(try decoder.decode(instruction, at: position))
        }
        // All jumps go forward, so that with a return at the end every path has one.
        guard operations[operations.count - 1].successors(0).isEmpty else { throw .malformed("it does not end in a return") }
        self.instructions = instructions
        self.operations = operations
    }
}

/// Decodes single instructions. Refuses what the kernel's check of socket filters (`bpf_check_classic`) refuses, and what a tap cannot
/// answer.
struct ClassicDecoder {
    let count: Int

    // SKF_AD_… of linux/filter.h.
    private static let ancillary: UInt32 = 0xFFFF_F000
    private static let packetType: UInt32 = ancillary + 4
    private static let metadata: [UInt32: Metadatum] = [
        ancillary + 44: .vlanTag, ancillary + 48: .vlanTagPresent, ancillary + 60: .vlanProtocol,
    ]

    func decode(_ instruction: ClassicInstruction, at position: Int) throws(FilterError) -> ClassicOperation {
        let constant = instruction.constant
        // Codes are BPF_CLASS, BPF_SIZE, BPF_MODE, BPF_OP and BPF_SRC of linux/bpf_common.h.
        switch instruction.code {
        case 0x20, 0x28, 0x30: return try absolute(constant, Self.width(instruction.code), position)
        case 0x40, 0x48, 0x50: return .loadIndirect(constant, Self.width(instruction.code))
        case 0xB1:
            guard constant <= UInt32(Int32.max) else { throw beforeTheFrame(constant, position) }
            return .loadHeaderLength(constant)
        case 0x80: return .loadMetadatum(.length, .a)
        case 0x81: return .loadMetadatum(.length, .x)
        case 0x00: return .loadConstant(constant, .a)
        case 0x01: return .loadConstant(constant, .x)
        case 0x60: return .loadScratch(try slot(constant, position), .a)
        case 0x61: return .loadScratch(try slot(constant, position), .x)
        case 0x02: return .store(try slot(constant, position), .a)
        case 0x03: return .store(try slot(constant, position), .x)
        case 0x84: return .negate
        case 0x07: return .copyAToX
        case 0x87: return .copyXToA
        case 0x06: return .returnConstant(constant)
        case 0x16: return .returnA
        case 0x05: return .jump(try target(position, constant))
        default: break
        }
        let operand: Operand = instruction.code & 0x08 == 0 ? .constant(constant) : .x
        let operation = UInt8(truncatingIfNeeded: instruction.code & 0xF0)
        switch instruction.code & ~0xF8 {
        case 0x04:
            guard let arithmetic = Arithmetic(rawValue: operation) else { break }
            if operand == .constant(0), arithmetic.divides { throw .malformed("instruction \(position) divides by 0") }
            if case .constant(32...) = operand, arithmetic.shifts {
                throw .malformed("instruction \(position) shifts 32 bits by \(constant)")
            }
            return .arithmetic(arithmetic, operand)
        case 0x05:
            guard let comparison = Comparison(rawValue: operation) else { break }
            return .branch(
                comparison, operand, try target(position, UInt32(instruction.jumpTrue)), try target(position, UInt32(instruction.jumpFalse))
            )
        default: break
        }
        throw .malformed("instruction \(position) has the unknown code 0x\(String(instruction.code, radix: 16))")
    }

    /// `BPF_SIZE` of a load.
    private static func width(_ code: UInt16) -> LoadWidth {
        switch code & 0x18 {
        case 0x00: .word
        case 0x08: .half
        default: .byte
        }
    }

    private func absolute(_ offset: UInt32, _ width: LoadWidth, _ position: Int) throws(FilterError) -> ClassicOperation {
        if let metadatum = Self.metadata[offset] { return .loadMetadatum(metadatum, .a) }
        if offset == Self.packetType {
            throw .unsupported(
                "`inbound` and `outbound` are not for the filter: on the host's side of a guest's device they mean the reverse; "
                    + "use the tap's attribute `direction` instead")
        }
        guard offset <= UInt32(Int32.max) else { throw beforeTheFrame(offset, position) }
        return .loadAbsolute(offset, width)
    }

    /// The kernel takes such an offset as relative to another header, or as a metadatum.
    private func beforeTheFrame(_ offset: UInt32, _ position: Int) -> FilterError {
        .unsupported(
            "instruction \(position) reads at offset \(Int32(bitPattern: offset)), which is not in the frame; "
                + "a filter can read no metadata but the VLAN tag")
    }

    private func slot(_ number: UInt32, _ position: Int) throws(FilterError) -> Int {
        guard number < 16 else { throw .malformed("instruction \(position) uses scratch slot \(number); there are 16, from 0") }
        return Int(number)
    }

    private func target(_ position: Int, _ distance: UInt32) throws(FilterError) -> Int {
        guard distance <= UInt32(Int32.max) else {
            throw .unsupported(
                "it makes a loop at instruction \(position), as `protochain` does, and a filter in the kernel may have none; "
                    + "name the headers instead, such as `ip6 proto 0` or `ip6[40] == 6`")
        }
        let target = position + 1 + Int(distance)
        guard target < count else { throw .malformed("instruction \(position) jumps behind the end") }
        return target
    }
}

/// Why a filter cannot be translated.
public enum FilterError: Error, Hashable, Sendable {
    /// It is not valid classic BPF. The text says what is wrong.
    case malformed(String)
    /// It needs what the host's side of a guest's device cannot tell (`inbound`), or a loop (`protochain`). The text says what it needs, and
    /// what to write instead.
    case unsupported(String)
    /// It has too many instructions for a jump or for the verifier.
    case tooLarge(instructions: Int)
}
