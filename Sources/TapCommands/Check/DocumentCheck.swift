// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import TapXML

/// Checks configuration, metadata and domain XML; no I/O.
struct DocumentCheck {
    /// The host that taps are checked for.
    var host: HostState
    /// What could not be found out of it, for people.
    var caveats: [String] = []

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
            return CheckReport(.good, lines: ["\(file.name): a valid configuration, \(destinations(configuration))"])
        } catch {
            return CheckReport(.badConfiguration, diagnostics: CheckReport.diagnostics(error.diagnostics, in: file.name))
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
        let names = reading.taps.map(\.name.text)
        if report.diagnostics.isEmpty {
            report.lines = ["\(file.name): valid metadata, tap\(names.count == 1 ? "" : "s") \(names.joined(separator: ", "))"]
        } else {
            report.outcome = .bad
        }
        return report
    }

    private func domain(_ file: DocumentFile) throws(XMLProblem) -> CheckReport {
        // A file that somebody wrote by hand has no UUID yet; libvirt makes one when it is defined.
        let reading = try DomainXML.read(file.bytes, defaultUUID: DomainUUID(bytes: [UInt8](repeating: 0, count: 16)))
        let preview = DomainPreview(reading.domain, on: host)
        var report = CheckReport(
            preview.isGood && reading.diagnostics.isEmpty ? .good : .bad,
            diagnostics: CheckReport.diagnostics(reading.diagnostics, in: file.name))
        report.lines = preview.lines(file: file.name) + caveats.map { "\(file.name): \($0)" }
        return report
    }
}
