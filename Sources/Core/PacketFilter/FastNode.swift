// SPDX-License-Identifier: LGPL-2.1-or-later

/// One instruction of the fast copy: one of the classic program, at a point where certain values are known.
struct FastNode {
    /// Where it goes on.
    enum Target: Hashable {
        case node(Int)
        /// To the slow copy, before the instruction of that place. What is known has to be put where that copy looks for it.
        case slow(Int, KnownValues)
    }

    /// What is done, with the known values put in.
    enum Step {
        /// Nothing is left of it.
        case none
        case loadAbsolute(UInt32, LoadWidth)
        case loadHeaderLength(UInt32)
        case loadMetadatum(Metadatum, ClassicRegister)
        case arithmetic(Arithmetic, Operand)
        case negate
        case copyAToX
        case copyXToA
        case store(Int, ClassicRegister)
        case loadScratch(Int, ClassicRegister)
        case branch(Comparison, Operand)
        case returnConstant(UInt32)
        case returnA
        /// It cannot be done in this copy.
        case slow
    }

    let place: Int
    /// Before the instruction.
    let known: KnownValues
    var step: Step
    /// A's number, which has to be put into its register first.
    var loadingA: UInt32?
    /// For a branch: when it holds, and when not. For a guess: one for each number. Else one or none.
    var targets: [Target] = []
    /// What the result, in this register, ought to be for this copy to go on; with anything else the slow copy does.
    var guess: (register: ClassicRegister, numbers: [UInt32])?
    /// How many bytes from the frame's start it needs in the linear part.
    var needed = 0
    /// The most that is needed from here on.
    var neededLater = 0
    /// How many are proven to be there before it.
    var proven = Int.max

    /// How many bytes have to be checked for before it, `nil` if they are proven to be there.
    ///
    /// To ask for more than is needed is not wrong, since the slow copy is there, and saves checks further on: up to the
    /// shortest frames that there are, ARP and UDP (42), bare TCP (54), UDP and TCP over IPv6 (62, 74).
    var check: Int? {
        guard needed > proven else { return nil }
        let usual = [42, 54, 62, 74].first { needed <= $0 }
        return max(needed, min(neededLater, usual ?? needed))
    }

    init(_ place: Int, _ known: KnownValues, _ step: Step) {
        self.place = place
        self.known = known
        self.step = step
    }
}
