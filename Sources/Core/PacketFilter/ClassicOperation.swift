// SPDX-License-Identifier: LGPL-2.1-or-later

/// What one instruction of classic BPF does. Targets of jumps are places in the program.
enum ClassicOperation: Hashable, Sendable {
    /// A := bytes at an offset from the frame's start, at most `Int32.max`.
    case loadAbsolute(UInt32, LoadWidth)
    /// A := bytes at X + an offset, modulo 2³².
    case loadIndirect(UInt32, LoadWidth)
    /// X := 4 × (low four bits of the byte at an offset): an IPv4 header's length.
    case loadHeaderLength(UInt32)
    case loadMetadatum(Metadatum, ClassicRegister)
    case loadConstant(UInt32, ClassicRegister)
    case loadScratch(Int, ClassicRegister)
    case store(Int, ClassicRegister)
    case arithmetic(Arithmetic, Operand)
    case negate
    case copyAToX
    case copyXToA
    case jump(Int)
    case branch(Comparison, Operand, Int, Int)
    case returnConstant(UInt32)
    case returnA

    /// Where it goes on; `place` is its own.
    func successors(_ place: Int) -> [Int] {
        switch self {
        case .returnConstant, .returnA: []
        case .jump(let target): [target]
        case .branch(_, _, let whenTrue, let whenFalse): whenTrue == whenFalse ? [whenTrue] : [whenTrue, whenFalse]
        default: [place + 1]
        }
    }
}
