// SPDX-License-Identifier: LGPL-2.1-or-later

/// Who wishes a tap.
public enum TapOrigin: String, CaseIterable, Codable, Sendable {
    /// The domain's own metadata.
    case domain
    /// The host's configuration, which selects domains.
    case host
}
