// SPDX-License-Identifier: LGPL-2.1-or-later

/// The kernel said no.
struct KernelError: Error {
    var call: KernelCall
    /// Positive.
    var number: CInt
    /// What the call was about: a path, a device.
    var subject: String = ""
    /// For a load: the verifier's whole log.
    var log: String?
}
