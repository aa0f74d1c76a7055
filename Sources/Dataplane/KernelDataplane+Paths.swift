// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// How copies get to another machine.
extension KernelDataplane {
    public func path(to remote: [UInt8], source: [UInt8]?) throws(Failure) -> UnderlayPath {
        try reporting("looking for the way to \(IPAddress.text(remote))", needsPins: false) {
            let table = RouteTable(kernel: kernel)
            let path = try table.path(to: remote, source: source)
            // Whoever may not ask may still look.
            if path.nextHopMAC == nil { try? table.ask(path) }
            return path
        }
    }

    public func confirm(_ path: UnderlayPath) throws(Failure) {
        try reporting("asking for \(IPAddress.text(path.nextHop)) on \(path.device)", needsPins: false) {
            try RouteTable(kernel: kernel).ask(path)
        }
    }
}
