// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapModel
import TapXML

/// Checks configuration, metadata and domain XML; no I/O.
struct DocumentCheck {
    /// The host that taps are checked for.
    var host: HostState
    /// What could not be found out of it, for people.
    var caveats: [String] = []
    /// Whether this host has a group of that name.
    var hasGroup: (String) -> Bool = { _ in true }

    /// The taps of a document whose filters `host` has to know; none of one that cannot be read. Those that the host would refuse
    /// for their number are left out.
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
                        "\(file.name): this is none of a configuration (<virt-tap>), metadata (<tap>, <taps>) and a domain's XML (<domain>)"
                    ])
            }
        } catch {
            return CheckReport(.bad, diagnostics: CheckReport.diagnostics(error.diagnostics, in: file.name))
        }
    }

    private func configuration(_ file: DocumentFile) -> CheckReport {
        do throws(XMLProblem) {
            let configuration = try ConfigurationXML.parse(file.bytes)
            var report = CheckReport(.good, lines: ["\(file.name): a valid configuration, \(destinations(configuration))"])
            note(configuration, of: file, &report)
            return report
        } catch {
            return CheckReport(.badConfiguration, diagnostics: CheckReport.diagnostics(error.diagnostics, in: file.name))
        }
    }

    /// What a valid configuration does not come to. What is only not there yet counts for this host's own, and is no error.
    private func note(_ configuration: HostConfiguration, of file: DocumentFile, _ report: inout CheckReport) {
        if !configuration.policy.tapsAllowed {
            report.note("<policy taps=\"no\"/> stops all copying on this host", in: file.name, isBad: false)
        }
        if let group = configuration.controlGroup?.printable, !hasGroup(group) {
            report.note(
                "<control group=\"\(group)\">: this host has no such group, so nobody but root reads status, and all else works; "
                    + "`groupadd --system \(group)` makes it (\(Reason.statusSocketMissing.rawValue))", in: file.name, isBad: false)
        }
        for definition in configuration.destinations {
            let status = DestinationStatus(definition, on: host)
            // Where copies go is this host's to say.
            for warning in status.routeWarnings where file.isHostConfiguration {
                report.note(
                    "destination \(definition.name): \(warning.message.printable) (\(warning.reason.rawValue))", in: file.name, isBad: false
                )
            }
            guard let reason = status.reason, reason == .notImplemented || file.isHostConfiguration else { continue }
            let text = (status.explanation ?? "").printable
            report.note("destination \(definition.name): \(text) (\(reason.rawValue))", in: file.name, isBad: reason == .notImplemented)
        }
    }

    private func destinations(_ configuration: HostConfiguration) -> String {
        let names = configuration.destinations.map(\.name.text)
        return names.isEmpty ? "no destinations" : "destination\(names.count == 1 ? "" : "s") " + names.joined(separator: ", ")
    }

    /// Without a domain only what every domain would meet can be said.
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
            report.lines = ["\(file.name): valid metadata, tap\(names.count == 1 ? "" : "s") \(names.joined(separator: ", "))"]
        } else {
            report.outcome = .bad
        }
        note(reading.taps, of: file, &report)
        return report
    }

    /// What every domain with these taps would meet here. Which domain it is, and which interfaces it has, is not known.
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
            // Said above, a matter of the domain's, or wished so.
            case nil, .noSuchDestination, .destinationNotAllowed, .disabledByMetadata, .invalidFilter, .filterTooLarge: continue
            case .some(let reason):
                report.note(
                    "tap \(verdict.entry.name): \((failure?.message ?? "").printable) (\(reason.rawValue))", in: file.name,
                    // That a filter could not be tried, or where a sensor VM is, is no fault of its own.
                    isBad: reason.state != .disabled && reason.state != .pending && !TapEvaluation.isUndecided(verdict))
            }
        }
    }

    private func domain(_ file: DocumentFile) throws(XMLProblem) -> CheckReport {
        // A file that somebody wrote by hand has no UUID yet; libvirt makes one when it is defined.
        let reading = try DomainXML.read(file.bytes, defaultUUID: Self.nobody)
        let preview = DomainPreview(reading.domain, on: host)
        var report = CheckReport(
            preview.isGood && reading.diagnostics.isEmpty ? .good : .bad,
            diagnostics: CheckReport.diagnostics(reading.diagnostics, in: file.name) + filterDiagnostics(reading.domain.taps, in: file))
        report.lines = preview.lines(file: file.name) + caveats.map { "\(file.name): \($0)" }
        return report
    }

    /// What libpcap does not accept, with the element's place among the taps: the reading has no lines of it.
    private func filterDiagnostics(_ taps: [TapEntry], in file: DocumentFile) -> [String] {
        taps.enumerated().compactMap { index, entry in
            guard case .valid(let tap) = entry, let expression = tap.filter, case .failure(let failure)? = host.filters[expression],
                !FilterCompiler.isOfHost(failure)
            else { return nil }
            let place = taps.count == 1 ? "tap/filter" : "tap[\(index + 1)]/filter"
            return "\(file.name): \(place): \(failure.message.printable)"
        }
    }

    /// Of a document that says nothing of the domain it is for.
    private static let nobody = DomainUUID(bytes: [UInt8](repeating: 0, count: 16))!
}
