// SPDX-License-Identifier: LGPL-2.1-or-later

import CRelaxNG
import Foundation

/// A schema of the product, and the places of the files that are checked against it.
final class Schema {
    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct Unloadable: Error, CustomStringConvertible {
        var description: String
    }

    private let handle: UnsafeMutableRawPointer

    init(_ name: String) throws {
        var message = [CChar](repeating: 0, count: 4_096)
        let path = Self.repository.appending(path: "schemas/\(name)").path
        guard let handle = vtrng_load(path, &message, message.count) else {
            throw Unloadable(description: "\(path): \(Self.text(message))")
        }
        self.handle = handle
    }

    deinit { vtrng_free(handle) }

    /// - Returns: `nil` when valid, else what libxml2 says.
    func problem(_ document: String) -> String? {
        var message = [CChar](repeating: 0, count: 4_096)
        let bytes = Array(document.utf8)
        let result = vtrng_validate(handle, bytes, bytes.count, &message, message.count)
        return result == 0 ? nil : "(\(result)) \(Self.text(message))"
    }

    private static func text(_ message: [CChar]) -> String {
        String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
