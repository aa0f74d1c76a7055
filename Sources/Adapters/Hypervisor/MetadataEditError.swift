// SPDX-License-Identifier: LGPL-2.1-or-later

/// Why a domain's metadata could not be read or written. Each carries libvirt's own words, or ours, for the operator.
///
/// libvirt's words repeat names as they were given: escape them where a terminal shows them.
public enum MetadataEditError: Error, Hashable, Sendable {
    /// libvirt cannot be reached, or the connection was lost meanwhile.
    case unreachable(String)
    /// There is no domain of this name, UUID or number.
    case noSuchDomain(String)
    /// The live metadata of a domain that is not running was to be changed.
    case notRunning(String)
    /// The persistent metadata of a transient domain was to be changed.
    case notPersistent(String)
    /// Whoever runs this may not change domains.
    case denied(String)
    /// libvirt refused the change for another reason, such as XML that it cannot parse.
    case refused(String)
}

extension MetadataEditError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let words), .noSuchDomain(let words), .notRunning(let words), .notPersistent(let words),
            .denied(let words), .refused(let words):
            words
        }
    }
}
