// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Dispatch
import FilterCompiler
import TapModel

/// Says what this process can do with the rights that it has, for `virt-tap doctor`.
///
/// On a thread and with a data path of its own: neither the reconciler nor a guest's start waits for it.
struct SelfExamination: Sendable {
    let bpffs: String

    func run(_ choice: MechanismChoice) async -> HostExamination {
        let filters = await FilterCompiler.selfTest()
        return await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { [bpffs] in
                continuation.resume(returning: KernelDataplane(bpffs: bpffs).examination(choice: choice, filters: filters))
            }
        }
    }
}
