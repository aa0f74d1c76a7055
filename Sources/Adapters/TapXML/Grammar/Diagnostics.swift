// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Collects what is wrong while a document is read, so that an operator can mend all of it at once.
final class Diagnostics {
    /// A document of a hundred thousand unknown elements gets no hundred thousand sentences.
    static let maximum = 50

    private(set) var list: [Diagnostic] = []
    private(set) var reasons: Set<Reason> = []
    /// All that was reported, listed or not.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Whether another sentence would be listed; what is costly to word can be left out otherwise.
    var hasRoom: Bool { list.count < Self.maximum }

    func add(_ diagnostic: Diagnostic, reason: Reason = .invalidMetadata) {
        count += 1
        reasons.insert(reason)
        if hasRoom { list.append(diagnostic) }
    }

    /// Takes over what was found in a part of the document.
    func add(all other: Diagnostics) {
        list += other.list.prefix(max(0, Self.maximum - list.count))
        count += other.count
        reasons.formUnion(other.reasons)
    }

    /// What to hand out: the list, and its last line when something did not fit.
    var all: [Diagnostic] { complete(list) }

    /// The same in the order of the document.
    var byLine: [Diagnostic] {
        complete(
            list.enumerated().sorted { ($0.element.line ?? 0, $0.offset) < ($1.element.line ?? 0, $1.offset) }.map(\.element))
    }

    private func complete(_ list: [Diagnostic]) -> [Diagnostic] {
        guard count > list.count else { return list }
        return list + [Diagnostic(path: "", message: "\(count - list.count) more problems are not listed")]
    }
}
