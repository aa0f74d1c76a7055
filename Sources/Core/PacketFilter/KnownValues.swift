// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which registers and scratch slots hold a number that the translator knows, at one point of the program: they are in no
/// register of eBPF there. What is not needed any more is left out.
struct KnownValues: Hashable {
    private var values: [UInt32?] = Array(repeating: nil, count: 18)

    /// At a program's start all is 0.
    static let atStart: KnownValues = {
        var known = KnownValues()
        known.values = Array(repeating: 0, count: 18)
        return known
    }()

    var a: UInt32? {
        get { values[0] }
        set { values[0] = newValue }
    }

    var x: UInt32? {
        get { values[1] }
        set { values[1] = newValue }
    }

    subscript(register: ClassicRegister) -> UInt32? {
        get { register == .a ? a : x }
        set { if register == .a { a = newValue } else { x = newValue } }
    }

    subscript(slot slot: Int) -> UInt32? {
        get { values[2 + slot] }
        set { values[2 + slot] = newValue }
    }

    mutating func forgetAll(but live: Liveness.Set) {
        if !live.contains(.a) { a = nil }
        if !live.contains(.x) { x = nil }
        for slot in 0..<16 where !live.contains(.slot(slot)) { self[slot: slot] = nil }
    }
}
