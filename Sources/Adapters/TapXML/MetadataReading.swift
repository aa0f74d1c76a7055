// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// What a piece of metadata says.
public struct MetadataReading: Sendable {
    /// Every tap, valid or not, in order.
    public var taps: [TapEntry]
    /// Everything that is wrong, with lines; empty exactly when all taps are valid.
    public var diagnostics: [Diagnostic]
}
