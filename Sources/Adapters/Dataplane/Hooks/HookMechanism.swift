// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// A way to run a program on a device's hook: TCX or clsact.
protocol HookMechanism {
    /// Attaches where nothing of this attachment runs; first in the chain where that is possible.
    func attach(_ program: TapProgram, at place: HookPlace, _ undo: Undo) throws

    /// Exchanges the program that runs there, without a moment in which none does.
    /// - Parameter former: to go back to.
    func update(_ program: TapProgram, at place: HookPlace, former: KernelObject?, _ undo: Undo) throws

    /// Whether a program of ours runs there, whichever it is.
    /// - Parameter programs: the ids of all that may be this attachment's.
    func isAttached(_ place: HookPlace, programs: Set<UInt32>) throws -> Bool

    /// What runs there.
    /// - Parameters:
    ///   - program: the id of the one that should.
    ///   - isOurs: whether a program on this device is one of ours, by its id.
    func observe(_ place: HookPlace, program: UInt32?, isOurs: (UInt32) throws -> Bool) throws -> ObservedAttachment.Hook

    /// Ends it; no error when it is not there.
    func remove(_ place: HookPlace, programs: Set<UInt32>) throws
}
