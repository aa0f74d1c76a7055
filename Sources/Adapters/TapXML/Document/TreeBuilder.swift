// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibxml2

/// Builds elements from the parser's callbacks, and only those that somebody wants: a domain's XML may hold 16 MiB of
/// other people's metadata.
final class TreeBuilder {
    /// Whether to keep an element. Its ancestors, outermost first, have been kept; children of skipped ones are never asked for.
    typealias Interest = (_ element: Element, _ ancestors: [Element]) -> Bool

    private let interest: Interest
    private var open: [Element] = []
    private var text: [[UInt8]] = []
    private(set) var root: Element?

    init(interest: @escaping Interest) { self.interest = interest }

    func start(_ element: Element) -> Bool {
        guard interest(element, open) else { return false }
        open.append(element)
        text.append([])
        return true
    }

    func append(_ bytes: UnsafeRawBufferPointer) {
        guard !text.isEmpty else { return }
        text[text.count - 1].append(contentsOf: bytes)
    }

    func end() {
        guard var element = open.popLast(), let bytes = text.popLast() else { return }
        element.text = String(decoding: bytes, as: UTF8.self)
        Self.number(&element.children)
        if open.isEmpty {
            root = element
        } else {
            open[open.count - 1].children.append(element)
        }
    }

    private static func number(_ children: inout [Element]) {
        guard children.count > 1 else { return }
        var counts: [String: Int] = [:]
        for index in children.indices {
            counts[children[index].qualifiedName, default: 0] += 1
            children[index].position = counts[children[index].qualifiedName, default: 1]
        }
        for index in children.indices { children[index].isOnly = counts[children[index].qualifiedName] == 1 }
    }
}
