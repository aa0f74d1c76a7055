// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The top-level element of the metadata, `<tap>` or `<taps>`.
enum MetadataGrammar {
    /// More than a host allows (`max-taps` is at most 32), and few enough for every table that shows them.
    static let maximumTaps = 256

    static func read(_ root: Element, _ diagnostics: Diagnostics) -> [TapEntry] {
        let scope = ElementScope(root: root, diagnostics: diagnostics)
        switch root.name {
        case "tap":
            return [TapGrammar.read(scope).entry]
        case "taps":
            return taps(scope)
        default:
            let own = scope.reporting(to: Diagnostics())
            own.report(
                "unknown element: in the namespace \(MetadataXML.namespace) there are <tap> for one tap and <taps> for several",
                suggestion: NearestName.of(root.name, among: ["tap", "taps"]))
            return invalid(own, outer: diagnostics)
        }
    }

    private static func taps(_ scope: ElementScope) -> [TapEntry] {
        var entries: [TapEntry] = []
        var taken: Set<TapName> = []
        let elements = scope.children("tap")
        for element in elements.prefix(maximumTaps) {
            let result = TapGrammar.read(element)
            let name = result.entry.name
            if result.hasName, !taken.insert(name).inserted {
                let message = "an earlier tap of this domain has the name \(name): give one of them another name"
                element.report(message)
                entries.append(
                    .invalid(name: name, required: result.entry.isRequired, Failure(.duplicateName, "\(element.path): \(message)")))
            } else {
                entries.append(result.entry)
            }
        }
        let own = scope.reporting(to: Diagnostics())
        own.allow(children: ["tap"])
        if elements.count > maximumTaps { own.report("there are \(elements.count) taps; only the first \(maximumTaps) are read") }
        return entries + invalid(own, outer: scope.diagnostics)
    }

    /// What is wrong around the taps is an entry of its own, so that the taps work and somebody sees it.
    private static func invalid(_ scope: ElementScope, outer: Diagnostics) -> [TapEntry] {
        outer.add(all: scope.diagnostics)
        return TapGrammar.failure(scope.diagnostics).map { [.invalid(name: .fallback, required: false, $0)] } ?? []
    }
}
