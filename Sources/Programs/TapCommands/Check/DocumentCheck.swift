// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapModel
import TapXML

/// Checks configuration, metadata and domain XML; no I/O.
struct DocumentCheck {
    /// The host that taps are checked for.
    var host: HostState
    /// What could not be read of the host; for people.
    var caveats: [String] = []
    /// Whether this host has a group with a name.
    var hasGroup: (String) -> Bool = { _ in true }

    /// The taps of a document whose filters must be compiled before `check`; empty if it cannot be read. Taps over the host's limit are
    /// left out, since they are refused anyway.
    func taps(in file: DocumentFile) -> [TapEntry] {
        let taps: [TapEntry]? =
            switch try? DocumentKind.detect(file.bytes) {
            case .metadata: try? MetadataXML.parse(file.bytes).taps
            case .domain: try? DomainXML.read(file.bytes, defaultUUID: Self.nobody).domain.taps
            case .configuration, nil: nil
            }
        return Array((taps ?? []).prefix(Int(host.configuration.policy.maximumTaps)))
    }

    func check(_ file: DocumentFile) -> CheckReport {
        do throws(XMLProblem) {
            switch try DocumentKind.detect(file.bytes) {
            case .configuration: return configuration(file)
            case .metadata: return try metadata(file)
            case .domain: return try domain(file)
            case nil:
                return CheckReport(
                    .bad,
                    diagnostics: [
                        "\(file.name): unknown document: expected <virt-tap>, <tap>, <taps> or <domain> as the outermost element"
                    ])
            }
        } catch {
            return CheckReport(.bad, diagnostics: CheckReport.diagnostics(error.diagnostics, in: file.name))
        }
    }

    private func configuration(_ file: DocumentFile) -> CheckReport {
        do throws(XMLProblem) {
            let configuration = try ConfigurationXML.parse(file.bytes)
            var report = CheckReport(.good, lines: ["\(file.name): valid configuration: \(destinations(configuration))"])
            note(configuration, of: file, &report)
            return report
        } catch {
            return CheckReport(.badConfiguration, diagnostics: CheckReport.diagnostics(error.diagnostics, in: file.name))
        }
    }

    /// Adds notes about parts of a valid configuration that have no effect. Destinations that do not work now are noted only for this
    /// host's own configuration, and are not errors.
    private func note(_ configuration: HostConfiguration, of file: DocumentFile, _ report: inout CheckReport) {
        if !configuration.policy.tapsAllowed {
            report.note("<policy taps=\"no\"/> stops all copying on this host", in: file.name, isBad: false)
        }
        if let group = configuration.controlGroup?.printable, !hasGroup(group) {
            report.note(
                "<control group=\"\(group)\">: this host has no such group, so only root can read the status; "
                    + "`groupadd --system \(group)` adds it (\(Reason.statusSocketMissing.rawValue))", in: file.name, isBad: false)
        }
        for definition in configuration.destinations {
            let status = DestinationStatus(definition, on: host)
            // Only this host's routes say where its copies leave.
            for warning in status.routeWarnings where file.isHostConfiguration {
                report.note(
                    "destination \(definition.name): \(warning.message.printable) (\(warning.reason.rawValue))", in: file.name, isBad: false
                )
            }
            guard let reason = status.reason, reason == .notImplemented || file.isHostConfiguration else { continue }
            let text = StatusNotes.sentence(status.explanation, reason)
            report.note("destination \(definition.name): \(text)", in: file.name, isBad: reason == .notImplemented)
        }
    }

    private func destinations(_ configuration: HostConfiguration) -> String {
        let names = configuration.destinations.map(\.name.text)
        return names.isEmpty ? "no destinations" : "destination\(names.count == 1 ? "" : "s") " + names.joined(separator: ", ")
    }

    /// Checks metadata without a domain: only what holds for every domain.
    private func metadata(_ file: DocumentFile) throws(XMLProblem) -> CheckReport {
        let reading = try MetadataXML.parse(file.bytes)
        var report = CheckReport(.good, diagnostics: CheckReport.diagnostics(reading.diagnostics, in: file.name))
        for case .valid(let tap) in reading.taps {
            if case .named(let name) = tap.destination, case .failure(let failure) = host.configuration.destination(named: name) {
                report.diagnostics.append("\(file.name): tap \(tap.name): \(failure.message)")
            }
        }
        report.diagnostics += filterDiagnostics(reading.taps, in: file)
        let names = reading.taps.map(\.name.text)
        if report.diagnostics.isEmpty {
            report.lines = ["\(file.name): valid metadata: tap\(names.count == 1 ? "" : "s") \(names.joined(separator: ", "))"]
        } else {
            report.outcome = .bad
        }
        note(reading.taps, of: file, &report)
        return report
    }

    /// Adds notes about taps that would not be copied here whatever the domain is. Its name and its interfaces are not known.
    private func note(_ taps: [TapEntry], of file: DocumentFile, _ report: inout CheckReport) {
        let entries = taps.map { entry -> TapEntry in
            guard case .valid(var tap) = entry else { return entry }
            tap.selectors = []
            return .valid(tap)
        }
        let domain = DomainDefinition(
            uuid: Self.nobody, name: "", interfaces: [DomainInterface(type: .bridge)],
            taps: entries)
        for verdict in DomainPreview(domain, on: host).verdicts {
            guard case .valid = verdict.entry else { continue }
            let failure: Failure? =
                switch verdict.outcome {
                case .refused(let failure): failure
                case .evaluated(let destination, _): destination.failure
                }
            switch failure?.reason {
            // Reported above, dependent on the domain, or intended.
            case nil, .noSuchDestination, .destinationNotAllowed, .disabledByMetadata, .invalidFilter, .filterTooLarge: continue
            case .some(let reason):
                report.note(
                    "tap \(verdict.entry.name): \((failure?.message ?? "").printable) (\(reason.rawValue))", in: file.name,
                    // If a filter could not be compiled on this host, or a sensor VM could not be looked up, the document is not bad.
                    isBad: reason.state != .disabled && reason.state != .pending && !TapEvaluation.isUndecided(verdict))
            }
        }
    }

    private func domain(_ file: DocumentFile) throws(XMLProblem) -> CheckReport {
        // XML that was written by hand may have no UUID; libvirt makes one when the domain is defined.
        let reading = try DomainXML.read(file.bytes, defaultUUID: Self.nobody)
        let preview = DomainPreview(reading.domain, on: host)
        var report = CheckReport(
            preview.isGood && reading.diagnostics.isEmpty ? .good : .bad,
            diagnostics: CheckReport.diagnostics(reading.diagnostics, in: file.name) + filterDiagnostics(reading.domain.taps, in: file))
        report.lines = preview.lines(file: file.name) + caveats.map { "\(file.name): \($0)" }
        return report
    }

    /// Errors of libpcap, with the path of the element: its line is not known any more.
    private func filterDiagnostics(_ taps: [TapEntry], in file: DocumentFile) -> [String] {
        taps.enumerated().compactMap { index, entry in
            guard case .valid(let tap) = entry, let expression = tap.filter, case .failure(let failure)? = host.filters[expression],
                !FilterCompiler.isOfHost(failure)
            else { return nil }
            let path = taps.count == 1 ? "tap/filter" : "tap[\(index + 1)]/filter"
            return "\(file.name): \(path): \(failure.message.printable)"
        }
    }

    /// The UUID for a document that has none.
    private static let nobody = DomainUUID(bytes: [UInt8](repeating: 0, count: 16))!
}
