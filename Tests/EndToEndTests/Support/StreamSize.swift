// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// How long the streams of `StreamTests` are: eight MiB each in `make test`, and VT_STREAM_MEGABYTES in `make test-streams`.
enum StreamSize {
    static let megabytes = ProcessInfo.processInfo.environment["VT_STREAM_MEGABYTES"].flatMap(Int.init) ?? 8
    static var isLong: Bool { megabytes > 8 }
    static var bytes: Int { megabytes << 20 }
    /// What a guest needs that holds one: MiB. As much as always if it is short.
    static var guestMemory: Int? { isLong ? 128 + 2 * megabytes : nil }
}
