// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// Monitor ports.
extension KernelDataplane {
    public func keepPort(_ wish: MonitorPort.Wish) throws(Failure) -> MonitorPort {
        try reporting("monitor port \(wish.name)") {
            try ports.keep(wish)
        }
    }

    public func removePorts(but names: Set<String>) throws(Failure) -> [String] {
        try reporting("removing monitor ports") {
            let removed = try ports.remove(but: names)
            try ports.removeDeadPins()
            return removed
        }
    }
}
