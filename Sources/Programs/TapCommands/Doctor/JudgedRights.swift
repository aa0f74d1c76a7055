// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import FoundationEssentials
import TapControl
import TapModel

/// By whose rights the doctor judges what depends on rights.
enum JudgedRights {
    /// virt-tapd's, which looked itself.
    case daemons(HostExamination)
    /// Those that virt-tapd's unit gives it, in a child.
    /// - Parameter why: what became of asking virt-tapd; `nil`: nobody was there to be asked, or answers nothing at all.
    case units(HostExamination, why: String?)
    /// Those of whoever asks.
    /// - Parameter why: they are not virt-tapd's.
    case own(why: String)

    /// What was found by virt-tapd's rights.
    var examination: HostExamination? {
        switch self {
        case .daemons(let found), .units(let found, _): found
        case .own: nil
        }
    }
}

extension JudgedRights {
    /// Asks virt-tapd where there is one; a child stands in for one that is not there, hangs, or is too old for the question.
    ///
    /// - Parameters:
    ///   - ask: puts the question; `nil` when nobody is there to be asked.
    ///   - child: looks in virt-tapd's place.
    static func find(
        isRoot: Bool, ask: (() throws(ControlError) -> ControlResponse)?, child: () -> HostExamination?
    ) -> JudgedRights {
        // Neither would be answered.
        guard isRoot else { return .own(why: "only root may ask virt-tapd what it can do") }
        var why: String?
        if let ask {
            do throws(ControlError) {
                let response = try ask().accepted()
                if let found = try? JSONDecoder().decode(HostExamination.self, from: Data(response.body)) { return .daemons(found) }
                why = "its answer to what it can do is not one that virt-tap \(virtTapVersion) reads"
            } catch {
                why = "\(error)"
            }
        }
        if let found = child() { return .units(found, why: why) }
        return .own(why: (why.map { "\($0); " } ?? "") + "no process could be given virt-tapd's capabilities")
    }
}
