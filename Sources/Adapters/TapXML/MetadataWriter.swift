// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The canonical text of taps.
enum MetadataWriter {
    static func tap(_ tap: Tap, indent: String = "", namespace: String? = nil) -> String {
        var attributes: [(String, String?)] = [("xmlns", namespace), ("name", tap.name.text)]
        var children: [String] = []
        switch tap.destination {
        case .named(let name):
            if name == tap.name { attributes.removeLast() }
            attributes.append(("to", name.text))
        case .inline(let target):
            children.append("<destination>\(self.target(target))</destination>")
        }
        attributes.append(("direction", tap.direction == .both ? nil : tap.direction.rawValue))
        attributes.append(("snaplen", tap.snaplen?.description))
        switch tap.sampling {
        case .packets(let count): attributes.append(("sample", "1/\(count)"))
        case .flows(let count): attributes.append(("sample-flows", "1/\(count)"))
        case nil: break
        }
        attributes.append(("rate", tap.rate?.text))
        attributes.append(("burst", tap.rate?.burstText))
        attributes.append(("required", tap.required ? "yes" : nil))
        attributes.append(("enabled", tap.enabled ? nil : "no"))
        attributes.append(("once", tap.once ? "yes" : nil))

        let selectors = tap.selectors.map { selector in
            element(
                "interface",
                [
                    ("mac", selector.mac?.description), ("alias", selector.alias), ("bridge", selector.bridge),
                    ("network", selector.network), ("device", selector.device),
                ])
        }
        children = selectors + children
        if let filter = tap.filter { children.append("<filter>\(escaped(filter))</filter>") }
        return element("tap", attributes, children, indent: indent)
    }

    private static func target(_ target: DestinationTarget) -> String {
        switch target {
        case .interface(let name, let allowShared):
            return element("interface", [("name", name), ("allow-shared", allowShared ? "yes" : nil)])
        case .monitor(let name):
            return element("monitor", [("name", name)])
        case .domain(let name, let uuid, let mac, let alias):
            return element("domain", [("name", name), ("uuid", uuid?.description), ("mac", mac?.description), ("alias", alias)])
        case .tunnel(let tunnel):
            let number = tunnel.kind.identifierName
            return element(
                tunnel.kind.rawValue,
                [
                    ("remote", tunnel.remote), (number, tunnel.identifier.map(String.init)),
                    ("\(number)-inbound", tunnel.inboundIdentifier.map(String.init)),
                    ("\(number)-outbound", tunnel.outboundIdentifier.map(String.init)),
                    ("port", tunnel.port == tunnel.kind.defaultPort ? nil : tunnel.port.map(String.init)),
                    ("version", tunnel.version == 1 ? nil : tunnel.version.map(String.init)), ("source", tunnel.source),
                    ("device", tunnel.device),
                    ("ttl", tunnel.ttl.map(String.init)), ("dscp", tunnel.dscp.map(String.init)),
                    ("oversize", tunnel.oversize == .fragment ? nil : tunnel.oversize.rawValue),
                ])
        }
    }

    private static func element(
        _ name: String, _ attributes: [(String, String?)], _ children: [String] = [], indent: String = ""
    ) -> String {
        var text = "\(indent)<\(name)"
        for (name, value) in attributes {
            if let value { text += " \(name)=\"\(escaped(value))\"" }
        }
        if children.isEmpty { return text + "/>" }
        return text + ">\n" + children.map { "\(indent)  \($0)\n" }.joined() + "\(indent)</\(name)>"
    }

    /// See `MetadataXML.escaped`.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\t", "\n", "\r": result += "&#\(scalar.value);"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
