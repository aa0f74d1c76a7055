// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The host's configuration file.
public enum ConfigurationXML {
    /// Reads a whole configuration, or says everything that is wrong with it.
    ///
    /// - Parameter bytes: UTF-8, at most 1 MiB.
    /// - Throws: `XMLProblem` with every problem, each with its line.
    public static func parse(_ bytes: [UInt8]) throws(XMLProblem) -> HostConfiguration {
        let root = try DocumentParser.parseAll(bytes, limits: .configuration)
        let diagnostics = Diagnostics()
        let configuration = ConfigurationGrammar.read(ElementScope(root: root, diagnostics: diagnostics))
        guard diagnostics.isEmpty else { throw XMLProblem(diagnostics.byLine) }
        return configuration
    }
}

/// `<virt-tap>`.
enum ConfigurationGrammar {
    private static let children = ["libvirt", "policy", "mark", "hook", "resync", "mechanism", "limit", "control", "destination"]

    static func read(_ root: ElementScope) -> HostConfiguration {
        var configuration = HostConfiguration()
        guard root.element.name == "virt-tap", root.element.prefix == nil else {
            root.report("not a configuration of virt-tap: the root element is not <virt-tap>", suggestion: "virt-tap")
            return configuration
        }
        guard root.element.uri == nil else {
            root.report("unexpected namespace: remove xmlns")
            return configuration
        }
        root.allow(children: children)

        configuration.libvirtURI = only(root, "libvirt", ["uri"])?.required("uri", TapValue.text)
        if let policy = root.child("policy") { configuration.policy = self.policy(policy) }
        if let mark = only(root, "mark", ["value", "mask"]).flatMap(mark) { configuration.mark = mark }
        let hook = only(root, "hook", ["timeout"])
        let timeout = hook?.required("timeout") { text throws(ValueProblem) in try TapValue.number(text, UInt32(1)...10) }
        configuration.hookTimeout = timeout ?? configuration.hookTimeout
        let resync = only(root, "resync", ["interval"])
        let interval = resync?.required("interval") { text throws(ValueProblem) in try TapValue.number(text, UInt32(1)...86_400) }
        configuration.resyncInterval = interval ?? configuration.resyncInterval
        let mechanism = only(root, "mechanism", ["name"])
        configuration.mechanism = mechanism?.required("name") { text throws(ValueProblem) in try TapValue.choice(text) } ?? .auto
        if let limit = only(root, "limit", ["rate", "burst"]) {
            if limit.element.attribute("rate") == nil { limit.report("attribute rate is missing") }
            configuration.limit = limit.rate()
        }
        configuration.controlGroup = only(root, "control", ["group"])?.required("group", group)
        configuration.destinations = destinations(root)
        return configuration
    }

    /// A child with attributes and nothing else, of which there may be one.
    private static func only(_ root: ElementScope, _ name: String, _ attributes: [String]) -> ElementScope? {
        let scope = root.child(name)
        scope?.allow(attributes: attributes)
        return scope
    }

    private static func policy(_ scope: ElementScope) -> Policy {
        scope.allow(attributes: ["taps", "max-taps"], children: ["inline"])
        let maximum = scope.value("max-taps") { text throws(ValueProblem) in try TapValue.number(text, UInt32(1)...32) }
        let standard = Policy()
        return Policy(
            tapsAllowed: scope.value("taps", TapValue.yesNo) ?? standard.tapsAllowed, maximumTaps: maximum ?? standard.maximumTaps,
            inline: scope.child("inline").map(inline))
    }

    private static func inline(_ scope: ElementScope) -> InlinePolicy {
        scope.allow(attributes: ["kinds", "remote"])
        let kinds = scope.required("kinds") { text throws(ValueProblem) -> Set<Tunnel.Kind> in
            var kinds: Set<Tunnel.Kind> = []
            for word in try words(text) {
                if let kind = DestinationTarget.Kind(rawValue: word), !kind.isTunnel {
                    throw ValueProblem("an inline destination is never of the kind \(word): define it by name and let taps refer to it")
                }
                kinds.insert(try TapValue.choice(word))
            }
            return kinds
        }
        let remotes = scope.required("remote") { text throws(ValueProblem) -> [AddressRange] in
            var ranges: [AddressRange] = []
            for word in try words(text) { ranges.append(try TapValue.addressRange(word)) }
            return ranges
        }
        return InlinePolicy(kinds: kinds ?? [], remotes: remotes ?? [])
    }

    private static func words(_ text: String) throws(ValueProblem) -> [String] {
        let words = text.split { " \t\r\n".contains($0) }.map(String.init)
        guard !words.isEmpty else { throw ValueProblem("the list is empty") }
        return words
    }

    private static func mark(_ scope: ElementScope) -> PacketMark? {
        guard let value = scope.required("value", bits) else { return nil }
        guard let mask = scope.element.attribute("mask") == nil ? value : scope.value("mask", bits) else { return nil }
        guard value & ~mask == 0 else {
            scope.report("the value has bits outside the mask, so no packet's mark would match", attribute: "value")
            return nil
        }
        return PacketMark(value: value, mask: mask)
    }

    private static func bits(_ text: String) throws(ValueProblem) -> UInt32 {
        let isHexadecimal = text.hasPrefix("0x") && text.utf8.count > 2 && text.utf8.dropFirst(2).first != UInt8(ascii: "+")
        let number = isHexadecimal ? UInt32(text.dropFirst(2), radix: 16) : TapValue.isPlainNumber(text) ? UInt32(text) : nil
        guard let number, number != 0 else {
            throw ValueProblem("invalid mark \(Quotation.quoted(text)): use 1 to 0xffffffff, decimal or with 0x in front")
        }
        return number
    }

    private static func group(_ text: String) throws(ValueProblem) -> String {
        let isLetter: (UInt8) -> Bool = { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || $0 == UInt8(ascii: "_") }
        let bytes = Array(text.utf8)
        guard let first = bytes.first, isLetter(first), bytes.count <= 32,
            bytes.allSatisfy({ isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-") })
        else {
            throw ValueProblem(
                "invalid group name \(Quotation.quoted(text)): use 1 to 32 characters of A-Z a-z 0-9 _ -, the first a letter or _")
        }
        return text
    }

    private static func destinations(_ root: ElementScope) -> [DestinationDefinition] {
        var lines: [TapName: Int] = [:]
        var ports: [String: (line: Int, isPort: Bool)] = [:]
        return root.children("destination").compactMap { scope in
            scope.allow(attributes: ["name", "rate", "burst", "mtu"], children: DestinationGrammar.kinds + ["allow"])
            let name = scope.required("name", TapValue.name)
            if let name, let line = lines.updateValue(scope.element.line, forKey: name) {
                scope.report("the destination of line \(line) has the name \(name) too: give one of them another name", attribute: "name")
            }
            let mtu = scope.value("mtu") { text throws(ValueProblem) in try TapValue.number(text, UInt32(576)...65_535) }
            let rate = scope.rate()
            let allow = scope.children("allow").compactMap(pattern)
            guard let target = DestinationGrammar.target(of: scope), let name else { return nil }
            switch target {
            case .monitor(let device), .interface(let device, _):
                let isPort = target.kind == .monitor
                if let other = ports.updateValue((scope.element.line, isPort), forKey: device), other.isPort || isPort {
                    scope.report(
                        "the destination of line \(other.line) is \(device) too, and a monitor port belongs to one destination: "
                            + "let taps name that one, or give one of them another device")
                }
            case .domain, .tunnel: break
            }
            return DestinationDefinition(name: name, target: target, rate: rate, mtu: mtu, allow: allow)
        }
    }

    private static func pattern(_ scope: ElementScope) -> DomainPattern? {
        scope.allow(
            attributes: ["domain", "uuid"],
            hints: ["name": "use domain=\"NAME\", in which * stands for any characters and ? for one"])
        guard (scope.element.attribute("domain") == nil) != (scope.element.attribute("uuid") == nil) else {
            scope.report("<allow> names nobody, or too much: use either domain or uuid")
            return nil
        }
        return scope.value("domain", TapValue.text).map { .name($0) } ?? scope.value("uuid", TapValue.uuid).map { .uuid($0) }
    }
}
