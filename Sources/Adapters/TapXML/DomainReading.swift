// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// What a domain's XML says, and what is wrong with its taps.
public struct DomainReading: Sendable {
    public var domain: DomainDefinition
    /// Everything that is wrong with the metadata, with lines; empty exactly when all taps are valid.
    public var diagnostics: [Diagnostic]
}
