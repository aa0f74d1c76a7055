// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

/// Makes a tap of the options, by way of XML: what a value may be is said in one place, the metadata's grammar.
enum TapDraft {
    /// The tap that the options describe.
    ///
    /// With `--to` they describe all of it. Without, they change what `existing` says: what is not given stays.
    /// - Throws: the usage error for a value that the grammar refuses; a failure when there is nothing to change.
    static func tap(_ options: TapOptions, existing: [Tap], in side: MetadataSide) throws(CommandFailure) -> Tap {
        if options.to != nil { return try draft(options, limit: (options.rate, options.burst)) }
        var tap = try chosen(options, existing, side)
        let drafted = try draft(options, limit: try limit(options, tap.rate))
        if options.direction != nil { tap.direction = drafted.direction }
        if options.allInterfaces || !options.interface.isEmpty { tap.selectors = drafted.selectors }
        if options.noFilter || options.filter != nil { tap.filter = drafted.filter }
        if options.noSnaplen || options.snaplen != nil { tap.snaplen = drafted.snaplen }
        if options.noSample || options.sample != nil || options.sampleFlows != nil { tap.sampling = drafted.sampling }
        if options.noRate || options.noBurst || options.rate != nil || options.burst != nil { tap.rate = drafted.rate }
        if let required = options.required { tap.required = required }
        if let once = options.once { tap.once = once }
        if let power = options.power { tap.enabled = power == .enabled }
        return tap
    }

    /// The texts of rate and burst, of which each stays when only the other is given.
    private static func limit(_ options: TapOptions, _ existing: RateLimit?) throws(CommandFailure) -> (rate: String?, burst: String?) {
        if options.noRate { return (nil, options.burst) }
        let rate = options.rate ?? existing?.text
        guard !options.noBurst, options.burst == nil, let kept = existing?.burstText, let rate else { return (rate, options.burst) }
        // The same number would be another burst.
        guard try draft(options, limit: (rate, nil)).rate?.unit == existing?.unit else {
            throw CommandFailure(
                .usage, "--rate: the tap has burst=\"\(kept)\", which is of a rate in the other unit: give --burst as well, or --no-burst")
        }
        return (rate, kept)
    }

    private static func chosen(_ options: TapOptions, _ existing: [Tap], _ side: MetadataSide) throws(CommandFailure) -> Tap {
        let names = existing.map(\.name.text).joined(separator: ", ")
        if let name = options.name {
            if let tap = existing.first(where: { $0.name.text == name }) { return tap }
            throw CommandFailure(
                .failure,
                "there is no tap \(name.printable) in \(side.words) to change" + (names.isEmpty ? "" : " (there is \(names))")
                    + ": --to makes a new one")
        }
        guard existing.count == 1 else {
            throw CommandFailure(
                .usage, existing.isEmpty ? "a new tap needs --to" : "there are several taps (\(names)): --name says which one")
        }
        return existing[0]
    }

    private static func draft(_ options: TapOptions, limit: (rate: String?, burst: String?)) throws(CommandFailure) -> Tap {
        let attributes: [(String, String?)] = [
            ("name", options.name), ("to", options.to ?? "any"), ("direction", options.direction), ("snaplen", options.snaplen),
            ("sample", options.sample), ("sample-flows", options.sampleFlows), ("rate", limit.rate), ("burst", limit.burst),
            ("required", options.required == true ? "yes" : nil), ("enabled", options.power == .disabled ? "no" : nil),
            ("once", options.once == true ? "yes" : nil),
        ]
        var xml = "<tap xmlns=\"\(MetadataXML.namespace)\""
        for case (let name, let value?) in attributes { xml += " \(name)=\"\(try escaped(value, option: name))\"" }
        xml += ">"
        for selector in options.interface {
            let attribute = MACAddress(selector) != nil ? "mac" : InterfaceSelector.mayBeAlias(selector) ? "alias" : "device"
            xml += "<interface \(attribute)=\"\(try escaped(selector, option: "interface"))\"/>"
        }
        if let filter = options.filter { xml += "<filter>\(try escaped(filter, option: "filter"))</filter>" }
        xml += "</tap>"
        let reading: MetadataReading
        do {
            reading = try MetadataXML.parse(Array(xml.utf8))
        } catch {
            throw CommandFailure(.usage, lines: error.diagnostics.map(message))
        }
        guard reading.diagnostics.isEmpty, case .valid(let tap)? = reading.taps.first else {
            throw CommandFailure(.usage, lines: reading.diagnostics.map(message))
        }
        return tap
    }

    /// The place in our own XML as the option that it came from.
    private static func message(_ diagnostic: Diagnostic) -> String {
        var shown = diagnostic
        let last = diagnostic.path.split(separator: "/").last.map(String.init) ?? ""
        let name = last.hasPrefix("@") ? String(last.dropFirst()) : String(last.prefix { $0 != "[" })
        let isSelector = diagnostic.path.contains("interface")
        let option = isSelector ? "--interface" : ["required": "--required", "enabled": "--disabled", "tap": ""][name] ?? "--\(name)"
        shown.path = option
        return shown.withoutLine
    }

    private static func escaped(_ text: String, option: String) throws(CommandFailure) -> String {
        let isCarried = text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "\t", "\n", "\r": true
            case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": false
            default: true
            }
        }
        guard isCarried else { throw CommandFailure(.usage, "--\(option): \"\(text.printable)\" has characters that XML cannot carry") }
        return MetadataXML.escaped(text)
    }
}

/// Says before a tap is written what this host would make of it.
struct TapValidation {
    /// What keeps it from being written, unless it is forced.
    var refusals: [String] = []
    /// What else there is to know.
    var warnings: [String] = []
    /// Of the warnings those that a daemon tells as well of a tap that is carried out, with their reason.
    var passing: [String: Reason] = [:]

    /// Reasons that an interface may have as long as another one of the tap's is copied.
    private static let partial: Set<Reason> = [.interfaceTypeUnsupported, .deviceNotOwned]
    /// - Parameters:
    ///   - domain: with the taps as they will be.
    ///   - tap: the one that is written.
    init(_ tap: Tap, in domain: DomainDefinition, on host: HostState, side: MetadataSide) {
        // Aliases are given when a domain starts: in its persistent definition they select nothing that could be judged, but for one
        // that will never be there.
        let knowsInterfaces = side == .live || tap.selectors.allSatisfy { $0.alias.map { !InterfaceSelector.mayBeAlias($0) } ?? true }
        var domain = domain
        if !knowsInterfaces {
            var unselective = tap
            unselective.selectors = []
            domain.taps = domain.taps.map { $0.name == tap.name ? .valid(unselective) : $0 }
        }
        for verdict in DomainPreview(domain, on: host).verdicts where verdict.entry.name == tap.name {
            switch verdict.outcome {
            case .refused(let failure) where failure.reason == .disabledByMetadata: break
            case .refused(let failure): note(failure, about: tap)
            case .evaluated(let destination, let interfaces):
                if let failure = destination.failure {
                    note(failure, about: tap, isPassing: destination.isOnlyDown)
                } else if let remark = destination.remark {
                    warnings.append("destination \(destination.label.printable): \(remark.message.printable) (\(remark.reason.rawValue))")
                }
                let failures = interfaces.compactMap {
                    if case .refused(let failure) = $0.result { failure } else { nil }
                }
                let isPartial = failures.count < interfaces.count
                for failure in failures where knowsInterfaces {
                    note(failure, about: tap, isPassing: isPartial && Self.partial.contains(failure.reason))
                }
            }
        }
    }

    /// Where nothing is known of the host but that it has libpcap, too.
    init(_ tap: Tap, filter: Result<CompiledFilter, Failure>) {
        if case .failure(let failure) = filter { note(failure, about: tap) }
    }

    /// The same of a change that asks for less than the tap before it: what keeps that one from being carried out is no reason against it.
    func asWarnings() -> TapValidation {
        var validation = self
        (validation.refusals, validation.warnings) = ([], refusals + warnings)
        return validation
    }

    private mutating func note(_ failure: Failure, about tap: Tap, isPassing: Bool = false) {
        let text = "tap \(tap.name): \(failure.message.printable) (\(failure.reason.rawValue))"
        // All others keep it from being written: it would copy nothing, and may stand in the place of one that does.
        if isPassing || failure.reason.isPassing {
            if !warnings.contains(text) { warnings.append(text) }
            passing[text] = failure.reason
        } else if !refusals.contains(text) {
            refusals.append(text)
        }
    }
}
