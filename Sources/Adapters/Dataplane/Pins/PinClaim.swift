// SPDX-License-Identifier: LGPL-2.1-or-later

internal import Glibc
internal import TapModel

/// A lock on the directory of pins, so that two daemons do not undo each other's work.
///
/// It ends with the process, however that ends.
final class PinClaim {
    private var held: PinDirectory?
    /// Whether it was ever taken, and so is to be taken again should the directory be another one.
    private(set) var isWanted = false

    /// Makes the directories and locks them. No more than a look when they are locked already.
    func take(_ pins: PinTree) throws {
        // Somebody may remove what has just been opened.
        for _ in 0..<10 {
            try pins.makeLayout()
            guard let found = try pins.open(pins.top) else { continue }
            if try held?.isSame(as: found) != true { try lock(found, pins) }
            if let now = try pins.open(pins.top), try now.isSame(as: found) {
                isWanted = true
                return
            }
        }
        throw KernelError(call: .lock, number: EAGAIN, subject: pins.top)
    }

    func release() {
        held = nil
        isWanted = false
    }

    private func lock(_ directory: PinDirectory, _ pins: PinTree) throws {
        do {
            try pins.kernel.check(.lock, directory.path) { flock(directory.descriptor, LOCK_EX | LOCK_NB) }
        } catch let error as KernelError where error.number == EWOULDBLOCK {
            throw Failure(
                .attachFailed,
                "another virt-tapd uses this bpffs (\(directory.path) is locked); stop that one first: `lslocks` names the process")
        }
        held = directory
    }
}
