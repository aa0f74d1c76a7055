// SPDX-License-Identifier: LGPL-2.1-or-later
import CLibvirt
import TapModel

/// What libvirt said when a call failed, read on the thread that made the call.
struct LibvirtError: Error, Equatable {
    /// libvirt's number of the error, a `virErrorNumber`; 0 where the error is our own.
    var code: UInt32 = 0
    /// The error came from the connection to libvirt's daemon and not from its work.
    var isFromTransport = false
    /// What was tried and libvirt's own text, repaired where it is not UTF-8.
    var message: String

    /// The error of the call that has just failed on this thread.
    /// - Parameter doing: what was tried, such as `list the domains`.
    static func last(_ doing: String) -> LibvirtError {
        let code = UInt32(bitPattern: virGetLastErrorCode())
        let words = virGetLastErrorMessage().map { String(cString: $0) } ?? "libvirt gave no reason"
        let domain = UInt32(bitPattern: virGetLastErrorDomain())
        let isFromTransport = domain == VIR_FROM_RPC.rawValue || domain == VIR_FROM_REMOTE.rawValue
        return LibvirtError(code: code, isFromTransport: isFromTransport, message: "cannot \(doing): \(words)")
    }

    /// The domain is not there: the one error that is an answer.
    var isNoDomain: Bool { code == VIR_ERR_NO_DOMAIN.rawValue }

    /// What was asked for is not built into this driver or this version of libvirt.
    var isUnsupported: Bool {
        [VIR_ERR_NO_SUPPORT, VIR_ERR_OPERATION_UNSUPPORTED, VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_ARGUMENT_UNSUPPORTED]
            .contains { $0.rawValue == code }
    }

    /// libvirt, polkit or a read-only connection forbids it.
    var isDenied: Bool {
        [VIR_ERR_OPERATION_DENIED, VIR_ERR_ACCESS_DENIED, VIR_ERR_AUTH_FAILED, VIR_ERR_AUTH_CANCELLED, VIR_ERR_AUTH_UNAVAILABLE]
            .contains { $0.rawValue == code }
    }

    /// libvirt itself does not answer, or not any more. A code of 0 is ours: no thread, no answer in time, closed.
    var isUnreachable: Bool {
        code == 0 || isFromTransport || [VIR_ERR_NO_CONNECT, VIR_ERR_INVALID_CONN].contains { $0.rawValue == code }
    }

    /// As it reaches the operator.
    var failure: Failure { Failure(isDenied ? .permissionDenied : .libvirtDisconnected, message) }
}
