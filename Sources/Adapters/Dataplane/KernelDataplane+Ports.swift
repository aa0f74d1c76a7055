// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// Monitor ports.
extension KernelDataplane {
    public func installPort(_ spec: MonitorPort.Spec, known: MonitorPort? = nil) throws(Failure) -> MonitorPort {
        // Whether bpffs is there is looked at with the rest.
        try reporting("monitor port \(spec.name)", needsPins: false) {
            try ports.keep(spec, known: known)
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
