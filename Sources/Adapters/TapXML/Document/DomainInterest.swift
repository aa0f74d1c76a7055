// SPDX-License-Identifier: LGPL-2.1-or-later

/// Which parts of a domain's XML are kept: name, UUID, interfaces, and our own metadata.
struct DomainInterest {
    private var interfaces = 0
    private var metadata = 0

    var hasTooManyInterfaces: Bool { interfaces > DomainXML.maximumInterfaces }
    var hasTooMuchMetadata: Bool { metadata > DomainXML.maximumMetadata }

    mutating func keeps(_ element: Element, ancestors: [Element]) -> Bool {
        switch ancestors.count {
        case 0:
            return element.name == "domain" && element.uri == nil
        case 1:
            return element.uri == nil && ["name", "uuid", "metadata", "devices"].contains(element.name)
        default:
            return ancestors[1].name == "devices" ? keepsDevice(element, ancestors) : keepsMetadata(element, ancestors)
        }
    }

    private mutating func keepsDevice(_ element: Element, _ ancestors: [Element]) -> Bool {
        guard element.uri == nil else { return false }
        switch ancestors.count {
        case 2:
            guard element.name == "interface" else { return false }
            interfaces += 1
            return !hasTooManyInterfaces
        case 3: return ["mac", "source", "target", "alias", "actual", "backend"].contains(element.name)
        case 4: return ancestors[3].name == "actual" && element.name == "source"
        default: return false
        }
    }

    private mutating func keepsMetadata(_ element: Element, _ ancestors: [Element]) -> Bool {
        guard ancestors[1].name == "metadata", ancestors.count > 2 || element.uri == MetadataXML.namespace else { return false }
        metadata += 1
        return !hasTooMuchMetadata
    }
}
