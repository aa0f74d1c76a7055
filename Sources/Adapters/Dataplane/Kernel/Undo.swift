// SPDX-License-Identifier: LGPL-2.1-or-later

/// What takes back the steps done so far, should a later one fail.
final class Undo {
    private var steps: [() throws -> Void] = []

    func add(_ step: @escaping () throws -> Void) { steps.append(step) }

    /// Takes back, the last step first; what cannot be taken back is left for the next start to repair.
    func run() {
        for step in steps.reversed() { try? step() }
        steps = []
    }
}
