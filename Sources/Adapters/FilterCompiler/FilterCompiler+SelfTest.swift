// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

extension FilterCompiler {
    /// What keeps this process from compiling filters; `nil`: nothing. Found with one that looks for VLAN tags, which takes all that
    /// compiling can need, by a compiler that remembers nothing.
    public static func selfTest() async -> Failure? {
        do throws(Failure) {
            _ = try await FilterCompiler().compile("vlan and tcp")
            return nil
        } catch {
            return error
        }
    }
}
