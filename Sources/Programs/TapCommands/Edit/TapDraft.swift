// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

/// Makes a tap from the options by writing and reading XML, so that only the metadata's grammar says which values are valid.
enum TapDraft {
    /// The tap that the options describe.
    ///
    /// With `--to` they describe the whole tap. Without, they change one of the existing taps and keep what is not given.
    /// - Throws: a usage error if the grammar refuses a value; a failure if there is no tap to change.
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

    /// The texts of rate and burst. Each stays if only the other is given.
    private static func limit(_ options: TapOptions, _ existing: RateLimit?) throws(CommandFailure) -> (rate: String?, burst: String?) {
        if options.noRate { return (nil, options.burst) }
        let rate = options.rate ?? existing?.text
        guard !options.noBurst, options.burst == nil, let kept = existing?.burstText, let rate else { return (rate, options.burst) }
        // With the other unit the same number means another burst.
        guard try draft(options, limit: (rate, nil)).rate?.unit == existing?.unit else {
            throw CommandFailure(
                .usage, "--rate: the tap's burst=\"\(kept)\" does not fit a rate in this unit; add --burst or --no-burst")
        }
        return (rate, kept)
    }

    private static func chosen(_ options: TapOptions, _ existing: [Tap], _ side: MetadataSide) throws(CommandFailure) -> Tap {
        let names = existing.map(\.name.text).joined(separator: ", ")
        if let name = options.name {
            if let tap = existing.first(where: { $0.name.text == name }) { return tap }
            throw CommandFailure(
                .failure,
                "no tap \"\(name.printable)\" in \(side.words)" + (names.isEmpty ? "" : ", which has \(names)") + "; --to adds a new one")
        }
        guard existing.count == 1 else {
            throw CommandFailure(
                .usage,
                existing.isEmpty ? "the domain has no tap to change; --to adds one" : "several taps (\(names)); choose one with --name")
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

    /// The diagnostic with the option instead of the path in the XML that was made from it.
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
        let isValid = text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "\t", "\n", "\r": true
            case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": false
            default: true
            }
        }
        guard isValid else { throw CommandFailure(.usage, "--\(option): \"\(text.printable)\" has characters that XML does not allow") }
        return MetadataXML.escaped(text)
    }
}

/// Judges a tap before it is written: would this host copy for it?
struct TapValidation {
    /// Reasons not to write the tap, unless `--force` is given.
    var refusals: [String] = []
    /// Warnings about a tap that is written.
    var warnings: [String] = []
    /// The reasons of those warnings that virt-tapd may report as well when it has attached the tap.
    var transient: [String: Reason] = [:]

    /// Reasons that are no obstacle for one interface if another interface of the tap is copied.
    private static let partial: Set<Reason> = [.interfaceTypeUnsupported, .deviceNotOwned]

    /// - Parameters:
    ///   - tap: the tap to write.
    ///   - domain: the domain with the taps that it will have.
    init(_ tap: Tap, in domain: DomainDefinition, on host: HostState, side: MetadataSide) {
        // libvirt assigns aliases when a domain starts. In the persistent definition a selector can be judged only if its alias is
        // invalid.
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
                    note(failure, about: tap, isTransient: destination.isOnlyDown)
                } else if let remark = destination.remark {
                    warnings.append("destination \(destination.label.printable): \(remark.message.printable) (\(remark.reason.rawValue))")
                }
                let failures = interfaces.compactMap {
                    if case .refused(let failure) = $0.result { failure } else { nil }
                }
                let isPartial = failures.count < interfaces.count
                for failure in failures where knowsInterfaces {
                    note(failure, about: tap, isTransient: isPartial && Self.partial.contains(failure.reason))
                }
            }
        }
    }

    /// Judges only the tap's filter, for a domain of another host.
    init(_ tap: Tap, filter: Result<CompiledFilter, Failure>) {
        if case .failure(let failure) = filter { note(failure, about: tap) }
    }

    /// Turns refusals into warnings, for a change that only takes `required` back from a tap that does not work.
    func asWarnings() -> TapValidation {
        var validation = self
        (validation.refusals, validation.warnings) = ([], refusals + warnings)
        return validation
    }

    private mutating func note(_ failure: Failure, about tap: Tap, isTransient: Bool = false) {
        let text = "tap \(tap.name): \(failure.message.printable) (\(failure.reason.rawValue))"
        // Any other failure is a refusal: the tap would copy nothing, and may replace one that does.
        if isTransient || failure.reason.allowsSet {
            if !warnings.contains(text) { warnings.append(text) }
            transient[text] = failure.reason
        } else if !refusals.contains(text) {
            refusals.append(text)
        }
    }
}
