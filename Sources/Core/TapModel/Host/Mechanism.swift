// SPDX-License-Identifier: LGPL-2.1-or-later

/// How a program is attached to a device.
public enum Mechanism: String, CaseIterable, Codable, Sendable {
    /// TCX links, Linux 6.6 and later: no qdisc, replaced in place, gone with the device.
    case tcx
    /// A filter on the clsact qdisc, for older kernels.
    case clsact
}

/// `<mechanism name>` of the configuration.
public enum MechanismChoice: String, CaseIterable, Codable, Sendable {
    /// TCX where the kernel has it, else clsact.
    case auto
    case tcx
    case clsact
}
