// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What stands inside a `<destination>`, on the host and inline alike.
enum DestinationGrammar {
    static let kinds = DestinationTarget.Kind.allCases.map(\.rawValue)

    /// The target of a `<destination>`; `nil` when it was reported. The caller has checked attributes and children.
    static func target(of destination: ElementScope) -> DestinationTarget? {
        let targets = kinds.flatMap { destination.children($0) }
        guard let target = targets.first else {
            destination.report("the destination is empty: add one of <\(kinds.joined(separator: ">, <"))>")
            return nil
        }
        guard targets.count == 1 else {
            destination.report("\(targets.count) destinations in one element: keep one of them")
            return nil
        }
        switch target.element.name {
        case "interface": return interface(target)
        case "monitor": return monitor(target)
        case "domain": return domain(target)
        default: return Tunnel.Kind(rawValue: target.element.name).flatMap { tunnel(target, $0) }.map { .tunnel($0) }
        }
    }

    /// A netdev's name as the kernel allows it (dev_valid_name in net/core/dev.c), or one of its altnames (ALTIFNAMSIZ), which may be
    /// longer.
    static func deviceName(_ text: String) throws(ValueProblem) -> String {
        try name(text, longest: 127, "1 to 15 bytes, or 127 for an altname")
    }

    /// A device's own name, which cannot be an altname.
    static func ownDeviceName(_ text: String) throws(ValueProblem) -> String { try name(text, longest: 15, "1 to 15 bytes") }

    private static func name(_ text: String, longest: Int, _ range: String) throws(ValueProblem) -> String {
        let bytes = text.utf8
        guard (1...longest).contains(bytes.count), text != ".", text != "..",
            !bytes.contains(where: { $0 <= 0x20 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ":") || $0 == 0x7F })
        else {
            throw ValueProblem(
                "invalid interface name \(Quotation.quoted(text)): use \(range), without blanks, / and :")
        }
        return text
    }

    private static func interface(_ scope: ElementScope) -> DestinationTarget? {
        scope.allow(
            attributes: ["name", "allow-shared"],
            hints: ["dev": "the interface is named by its attribute name", "device": "the interface is named by its attribute name"])
        let allowShared = scope.value("allow-shared", TapValue.yesNo)
        return scope.required("name", deviceName).map { .interface(name: $0, allowShared: allowShared ?? false) }
    }

    private static func monitor(_ scope: ElementScope) -> DestinationTarget? {
        scope.allow(
            attributes: ["name"],
            hints: [
                "dev": "the monitor port is named by its attribute name", "device": "the monitor port is named by its attribute name",
                "mtu": "mtu= is an attribute of <destination>; a monitor port itself takes frames of any size",
            ])
        return scope.required("name", portName).map { .monitor(name: $0) }
    }

    /// A name that virt-tapd may give to a device that it makes.
    private static func portName(_ text: String) throws(ValueProblem) -> String {
        let name = try ownDeviceName(text)
        if HostDevice.isOurs(name) {
            throw ValueProblem("names that begin with \(HostDevice.ownPrefix) are reserved for virt-tap's own devices: use another name")
        }
        // libvirt counts names up from the greatest of its own that it finds.
        if let prefix = InterfaceSelector.generatedPrefixes.first(where: { name.hasPrefix($0) }) {
            throw ValueProblem("names that begin with \(prefix) are reserved for devices that libvirt makes: use another name")
        }
        if name == "lo" { throw ValueProblem("lo is the loopback device: use another name") }
        // `all` and `default` are what the kernel calls its settings for every device.
        if ["all", "default"].contains(name) {
            throw ValueProblem("the kernel refuses the device name \(name): use another name")
        }
        if name.contains("%") {
            throw ValueProblem(
                "invalid name \(Quotation.quoted(name)): the kernel takes % as a template for other names; use a name without %")
        }
        return name
    }

    private static func domain(_ scope: ElementScope) -> DestinationTarget? {
        scope.allow(attributes: ["name", "uuid", "mac", "alias"])
        let attributes = scope.element
        if attributes.attribute("name") == nil, attributes.attribute("uuid") == nil {
            scope.report("<domain> names no domain: add name, uuid or both")
        }
        return .domain(
            name: scope.value("name", TapValue.text), uuid: scope.value("uuid", TapValue.uuid), mac: scope.value("mac", TapValue.mac),
            alias: scope.value("alias", TapValue.text))
    }

    private static func tunnel(_ scope: ElementScope, _ kind: Tunnel.Kind) -> Tunnel? {
        let number = kind.identifierName
        var names = ["remote", number, "\(number)-inbound", "\(number)-outbound", "source", "device", "ttl", "dscp", "oversize"]
        if kind.defaultPort != nil { names.append("port") }
        if kind == .erspan { names.append("version") }
        scope.allow(attributes: names)

        let range = 0...kind.maximumIdentifier
        let parse = { (text: String) throws(ValueProblem) in try TapValue.number(text, range) }
        let hasBoth = scope.element.attribute("\(number)-inbound") != nil && scope.element.attribute("\(number)-outbound") != nil
        if kind != .gre, !hasBoth, scope.element.attribute(number) == nil {
            scope.report("attribute \(number) is missing; only \(number)-inbound and \(number)-outbound together can stand for it")
        }
        let remote = scope.required("remote", TapValue.address)
        let source = scope.value("source", TapValue.address)
        if let remote, let source, remote.bytes.count != source.bytes.count {
            scope.report("source and remote must both be IPv4 or both be IPv6", attribute: "source")
        }
        let version = scope.value("version") { text throws(ValueProblem) in try TapValue.number(text, UInt8(1)...2) }
        return Tunnel(
            kind: kind, remote: remote?.text ?? "", identifier: scope.value(number, parse),
            inboundIdentifier: scope.value("\(number)-inbound", parse), outboundIdentifier: scope.value("\(number)-outbound", parse),
            port: scope.value("port") { text throws(ValueProblem) in try TapValue.number(text, UInt16(1)...65_535) },
            version: kind == .erspan ? version ?? 1 : nil, source: source?.text,
            device: scope.value("device", deviceName),
            ttl: scope.value("ttl") { text throws(ValueProblem) in try TapValue.number(text, UInt8(1)...255) },
            dscp: scope.value("dscp") { text throws(ValueProblem) in try TapValue.number(text, UInt8(0)...63) },
            oversize: scope.value("oversize") { text throws(ValueProblem) in try TapValue.choice(text) } ?? .fragment)
    }
}
