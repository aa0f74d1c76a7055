// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Which taps of a document are asked for.
struct StatusSelection: Hashable {
    /// Names or UUIDs; empty: every domain.
    var domains: [String] = []
    /// Also those of domains that do not run. Domains that are named are shown in any case.
    var includesShutOff = false

    /// The document with nothing but the taps asked for. A domain without taps is not in a status document, so a name
    /// that is not there can be a domain's all the same.
    /// - Throws: when a domain that was named has no tap. With no daemon nobody can say so, and nothing is thrown.
    func apply(to document: StatusDocument) throws(CommandFailure) -> StatusDocument {
        var selected = document
        guard !domains.isEmpty else {
            if !includesShutOff { selected.taps.removeAll { $0.running == false } }
            return selected
        }
        let unknown = self.unknown(in: document)
        if !unknown.isEmpty, document.daemon.complete == false {
            let names = unknown.map { "\"\($0.printable)\"" }.joined(separator: ", ")
            throw CommandFailure(.failure, "whether there is a tap of \(names) is not known yet: \(StatusNotes.ignorance(document.daemon))")
        }
        guard unknown.isEmpty || !document.daemon.running else {
            let names = Set(document.taps.map(\.domain)).sorted()
            throw CommandFailure(
                .failure,
                lines: unknown.map { name in
                    "\"\(name.printable)\" has no tap, or there is no domain of that name"
                        + (name.allSatisfy(\.isNumber) ? "; here a domain goes by name or UUID, not by libvirt's number" : "")
                        // Not "did you mean": the one that was named may be there.
                        + (NearestName.of(name, among: names).map { "; \"\($0.printable)\" has one" } ?? " (`virsh list --all`)")
                })
        }
        selected.taps.removeAll { tap in !domains.contains { Self.matches(tap, $0) } }
        return selected
    }

    /// What was named and has no tap in the document.
    func unknown(in document: StatusDocument) -> [String] {
        domains.filter { domain in !document.taps.contains { Self.matches($0, domain) } }
    }

    private static func matches(_ tap: TapStatus, _ domain: String) -> Bool {
        // Scalar by scalar: two names that only look alike are two domains.
        tap.domain.unicodeScalars.elementsEqual(domain.unicodeScalars) || DomainUUID(domain) == tap.uuid
    }
}
