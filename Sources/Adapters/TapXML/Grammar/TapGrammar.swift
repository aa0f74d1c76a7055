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

/// A `<tap>`.
enum TapGrammar {
    /// What became of one element.
    struct Result {
        var entry: TapEntry
        /// Whether the name is one that was written or that the grammar gives, so that no other tap may have it; a
        /// tap whose name could not be read takes none.
        var hasName: Bool
    }

    static let attributes = [
        "name", "to", "direction", "snaplen", "sample", "sample-flows", "rate", "burst", "required", "enabled", "once",
    ]

    /// - Parameter outer: Where the problems go for the whole document.
    static func read(_ outer: ElementScope) -> Result {
        let scope = outer.reporting(to: Diagnostics())
        scope.allow(attributes: attributes, children: ["interface", "filter", "destination"])

        let to = scope.value("to", TapValue.name)
        let destination = destination(scope, to)
        let written = scope.value("name", TapValue.name)
        let name = written ?? to ?? .fallback
        let hasName = scope.element.attribute("name") == nil ? (to != nil || scope.element.attribute("to") == nil) : written != nil

        let direction = scope.value("direction", TapValue.direction)
        let selectors = scope.children("interface").compactMap(selector)
        let required = scope.value("required", TapValue.yesNo) ?? false
        let enabled = scope.value("enabled", TapValue.yesNo) ?? true
        let once = scope.value("once", TapValue.yesNo) ?? false
        let tap = Tap(
            name: name, destination: destination ?? .named(name), direction: direction ?? .both, selectors: selectors,
            filter: filter(scope), snaplen: scope.value("snaplen", TapValue.snaplen), sampling: sampling(scope), rate: scope.rate(),
            required: required, enabled: enabled, once: once)

        outer.diagnostics.add(all: scope.diagnostics)
        guard let failure = failure(scope.diagnostics) else { return Result(entry: .valid(tap), hasName: true) }
        return Result(entry: .invalid(name: name, required: required && enabled, failure), hasName: hasName)
    }

    /// One sentence or a few of all that is wrong.
    static func failure(_ diagnostics: Diagnostics) -> Failure? {
        guard !diagnostics.isEmpty else { return nil }
        let shown = diagnostics.list.prefix(3)
        var message = shown.map(\.withoutLine).joined(separator: "; ")
        if diagnostics.count > shown.count { message += "; and \(diagnostics.count - shown.count) more" }
        return Failure(diagnostics.reasons == [.invalidFilter] ? .invalidFilter : .invalidMetadata, message)
    }

    private static func destination(_ scope: ElementScope, _ to: TapName?) -> DestinationReference? {
        let inline = scope.child("destination")
        guard let inline else {
            if scope.element.attribute("to") == nil {
                scope.report("the tap has no destination: add to=\"NAME\" for a destination of the host, or one <destination>")
            }
            return to.map { .named($0) }
        }
        if scope.element.attribute("to") != nil { scope.report("both to and <destination> are there: keep one of them") }
        let ofTheHost = "only destinations of the host's configuration have this; an inline one is the tap's own"
        inline.allow(
            children: DestinationGrammar.kinds, hints: ["name": ofTheHost, "rate": ofTheHost, "burst": ofTheHost, "mtu": ofTheHost])
        return DestinationGrammar.target(of: inline).map { .inline($0) }
    }

    private static func selector(_ scope: ElementScope) -> InterfaceSelector? {
        let name = "the device that <target dev> names is chosen by the attribute device"
        scope.allow(
            attributes: ["mac", "alias", "bridge", "network", "device"], hints: ["dev": name, "target": name, "name": name])
        let selector = InterfaceSelector(
            mac: scope.value("mac", TapValue.mac), alias: scope.value("alias", TapValue.text),
            bridge: scope.value("bridge", TapValue.text), network: scope.value("network", TapValue.text),
            device: scope.value("device", fixedDevice))
        if scope.element.attributes.isEmpty {
            scope.report("<interface> selects nothing: add mac, alias, bridge, network or device, or remove it for all interfaces")
        }
        return selector
    }

    /// A device's name that is the same at each start.
    private static func fixedDevice(_ text: String) throws(ValueProblem) -> String {
        let name = try DestinationGrammar.ownDeviceName(text)
        guard let prefix = InterfaceSelector.generatedPrefixes.first(where: { name.hasPrefix($0) }) else { return name }
        throw ValueProblem(
            "\(Quotation.quoted(name)) may be another interface at the next start, since libvirt generates names that begin with \(prefix) and "
                + "drops such a <target dev>: select by mac or alias, or give the interface another <target dev>")
    }

    private static func filter(_ scope: ElementScope) -> String? {
        guard let filter = scope.child("filter") else { return nil }
        filter.allow(text: true)
        do {
            return try TapValue.filter(filter.element.text)
        } catch {
            filter.report(error.message, suggestion: error.suggestion, reason: .invalidFilter)
            return nil
        }
    }

    private static func sampling(_ scope: ElementScope) -> Sampling? {
        let packets = scope.value("sample", TapValue.oneIn)
        let flows = scope.value("sample-flows", TapValue.oneIn)
        if scope.element.attribute("sample") != nil, scope.element.attribute("sample-flows") != nil {
            scope.report("sample and sample-flows exclude each other: keep one of them", attribute: "sample-flows")
        }
        return packets.map { .packets(oneIn: $0) } ?? flows.map { .flows(oneIn: $0) }
    }
}
