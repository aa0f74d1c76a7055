// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapSystem

/// What can go wrong between virt-tap and virt-tapd.
public enum ControlError: Error, Hashable, Sendable {
    /// Nobody listens at this path.
    case notRunning(path: String)
    /// This user may not use the socket, the directory or the lock, or it is not what it should be; `what` says why.
    case notPermitted(path: String, what: String)
    /// The other side took too long.
    case timedOut(what: String)
    /// The other side speaks another protocol.
    case otherProtocol(Int, version: String?)
    /// The server does not know a request of this name.
    case unknownRequest(String)
    /// The message that was received is malformed.
    case malformed(String)
    /// The daemon refused the request; its message.
    case refused(String)
    /// The other side closed the socket before the message was complete.
    case closedEarly
    /// Another daemon runs on this runtime directory; its process id, if it could be read.
    case alreadyRunning(directory: String, pid: Int32?)
    /// A system call failed.
    case system(call: String, what: String, errno: Int32)
}

extension ControlError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notRunning(let path):
            "nobody listens at \(path): is virt-tapd running? (systemctl start virt-tapd)"
        case .notPermitted(let path, let what):
            "\(path): \(what)"
        case .timedOut(let what):
            "no answer in time while \(what)"
        case .otherProtocol(let number, let version):
            "the other side\(version.map { " (virt-tap \($0))" } ?? "") speaks control protocol \(number), this program"
                + " protocol \(ControlProtocol.number): install the same version of virt-tap and virt-tapd, then restart virt-tapd"
        case .unknownRequest(let name):
            "this virt-tapd knows no request named \(name.debugDescription): is it older than the command? Restart it after an upgrade"
        case .malformed(let what):
            "malformed message on the control socket: \(what)"
        case .refused(let why):
            "virt-tapd: \(why.printable)"
        case .closedEarly:
            "the other side closed the control socket before the message was complete"
        case .alreadyRunning(let directory, let pid):
            "another virt-tapd\(pid.map { " (process \($0))" } ?? "") holds \(directory):"
                + " stop it first, or choose another --runtime-dir"
        case .system(let call, let what, let errno):
            "\(call) \(what): \(ErrorText.of(errno))"
        }
    }
}
