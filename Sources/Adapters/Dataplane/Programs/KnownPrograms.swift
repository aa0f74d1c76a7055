// SPDX-License-Identifier: LGPL-2.1-or-later

internal import CLibbpf
internal import Glibc
internal import TapModel

/// Which programs on a hook are ours, remembered by id, so that the pins are not read at every check.
///
/// The kernel opens a program by its id only with CAP_SYS_ADMIN, which the daemon does not have. Our programs are those that
/// are pinned, and each is pinned before it runs. Ids are counted up and come again only after two thousand million.
final class KnownPrograms {
    private static let limit = 16_384

    private var ours: Set<UInt32> = []
    private var others: Set<UInt32> = []

    func learn(_ ids: some Sequence<UInt32>) {
        if ours.count + others.count > Self.limit {
            ours = []
            others = []
        }
        ours.formUnion(ids)
        others.subtract(ids)
    }

    /// - Parameter pinned: reads the ids of all programs of ours that may be on the hook.
    func isOurs(_ id: UInt32, pinned: () throws -> Set<UInt32>) rethrows -> Bool {
        if ours.contains(id) { return true }
        if others.contains(id) { return false }
        learn(try pinned())
        if ours.contains(id) { return true }
        others.insert(id)
        return false
    }
}
