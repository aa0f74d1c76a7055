// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Writes the notes below the table: why a tap or destination is not active, and warnings about those that are.
enum StatusNotes {
    struct Note: Equatable {
        /// The tap, destination or file that the note is about; printable.
        var subject: String
        /// The note itself; printable.
        var text: String
        var colour: Colour?
    }

    /// A note about more taps than this gives their number instead of their names.
    private static let maximumNames = 4

    /// For how many seconds a lost copy is a warning. Later it is only mentioned.
    private static let warningPeriod: Int64 = 600

    /// - Parameters:
    ///   - isSelection: whether the document holds selected taps only; then notes are about their destinations only.
    ///   - now: the time at which the document is shown.
    static func of(_ document: StatusDocument, isSelection: Bool = false, at now: Timestamp) -> [Note] {
        host(document) + taps(document) + destinations(document, isSelection: isSelection, at: now)
    }

    private static func host(_ document: StatusDocument) -> [Note] {
        var notes: [Note] = []
        // Without taps, the text instead of the table says the same.
        if document.daemon.complete == false, !document.taps.isEmpty {
            let text = "\(whyIncomplete(document.daemon)): some taps may be missing here; taps in the kernel go on copying"
            notes.append(Note(subject: "virt-tapd", text: text, colour: .yellow))
        } else if document.daemon.complete != false, document.daemon.connected == false {
            notes.append(Note(subject: "virt-tapd", text: "not connected to libvirt; taps in the kernel go on copying", colour: .yellow))
        }
        if document.daemon.paused == true {
            notes.append(
                Note(subject: "virt-tapd", text: "paused by `virt-tap purge --now`; `systemctl reload virt-tapd` resumes", colour: .yellow))
        }
        for warning in document.daemon.warnings ?? [] {
            notes.append(Note(subject: "virt-tapd", text: sentence(warning.message, warning.reason), colour: .yellow))
        }
        if document.config.stale { notes += staleConfiguration(document.config) }
        return notes
    }

    /// Why virt-tapd does not know all domains yet.
    static func whyIncomplete(_ daemon: StatusDocument.Daemon) -> String {
        daemon.connected == true ? "the domains are still being read from libvirt" : "libvirt has not answered virt-tapd yet"
    }

    /// How many errors of an invalid configuration are shown; `virt-tap check` shows all of them.
    private static let maximumErrors = 8

    /// Notes about a configuration file that cannot be used. Its message has one line per error: `FILE:LINE: error`.
    private static func staleConfiguration(_ config: StatusDocument.Config) -> [Note] {
        let path = config.path.printable
        let lines = config.message?.split(separator: "\n").map(String.init) ?? []
        // Without a configuration nothing can be attached.
        let colour: Colour = config.loaded == nil ? .red : .yellow
        let what =
            config.loaded == nil
            ? "invalid, and virt-tapd has no earlier configuration: taps in the kernel stay as they are, and nothing new is attached; correct the "
                + "file, virt-tapd loads it then (\(Reason.configInvalid.rawValue))"
            : "invalid: virt-tapd still uses the configuration before it (\(Reason.configStale.rawValue))"
        var notes = [Note(subject: path, text: what, colour: colour)]
        for line in lines.prefix(maximumErrors) {
            let inert = line.inert
            // `FILE:LINE` is the subject if the line has one.
            guard inert.hasPrefix("\(path):"), let end = inert.firstRange(of: ": ") else {
                notes.append(Note(subject: path, text: inert, colour: colour))
                continue
            }
            notes.append(Note(subject: String(inert[..<end.lowerBound]), text: String(inert[end.upperBound...]), colour: colour))
        }
        if lines.count > maximumErrors {
            let text = "\(lines.count - maximumErrors) more errors; `virt-tap check` shows all"
            notes.append(Note(subject: path, text: text, colour: colour))
        }
        return notes
    }

    private static func taps(_ document: StatusDocument) -> [Note] {
        let limited = Set(document.destinations.filter { $0.rateLimited.packets > 0 }.map(\.name))
        // Taps with the same text share one note.
        var order: [String] = []
        var subjects: [String: [String]] = [:]
        var colours: [String: Colour] = [:]
        func add(_ subject: String, _ text: String, _ colour: Colour?) {
            if subjects[text] == nil {
                order.append(text)
                colours[text] = colour
            }
            if subjects[text]?.contains(subject) != true { subjects[text, default: []].append(subject) }
        }
        for tap in document.taps {
            let subject = "\(tap.domain.printable)/\(tap.name)"
            if tap.state != .active, tap.interfaces.isEmpty {
                add(subject, sentence(tap.message, tap.reason), .of(tap.state))
            }
            for interface in tap.interfaces where interface.state != .active {
                let which = tap.interfaces.count == 1 ? "" : " " + (interface.alias ?? interface.mac?.description ?? "").printable
                add(subject + which, sentence(interface.explanation, interface.reason), .of(interface.state))
            }
            if let text = rateLimited(tap, limited) { add(subject, text, nil) }
            for warning in tap.warnings where !(document.config.stale && warning.reason == .configStale) {
                // A device that somebody changed is still tapped as before, so this is not a warning.
                add(subject, sentence(warning.message, warning.reason), warning.reason == .deviceChanged ? nil : .yellow)
            }
        }
        return order.map { text in
            let about = subjects[text] ?? []
            let subject = about.count > maximumNames ? "\(about.count) taps" : about.joined(separator: ", ")
            return Note(subject: subject, text: text, colour: colours[text])
        }
    }

    /// The frames that a tap did not copy because of its rate; `nil`: none. They are in no column of the table.
    /// - Parameter limited: destinations whose own rate was exceeded; the tap counts those frames, too.
    private static func rateLimited(_ tap: TapStatus, _ limited: Set<String>) -> String? {
        let counters = tap.interfaces.flatMap { [$0.inbound, $0.outbound].compactMap { $0 } }
        let count = counters.reduce(Counter()) { $0 + $1.rateLimited }.packets
        guard let rate = tap.rate, count > 0 else { return nil }
        return "\(frames(count)) not copied: over its rate of \(rate)" + (tap.burst.map { " (burst \($0))" } ?? "")
            + (tap.destination.map(limited.contains) == true ? ", or over its destination's rate" : "")
    }

    private static func frames(_ count: UInt64) -> String { count == 1 ? "1 frame was" : "\(count) frames were" }

    private static func destinations(_ document: StatusDocument, isSelection: Bool, at now: Timestamp) -> [Note] {
        let shown = Set(document.taps.flatMap { [$0.message] + $0.interfaces.map(\.message) }.compactMap { $0 })
        // A destination that no tap uses loses no copies.
        let used = Set(document.taps.compactMap(\.destination))
        let warnings = document.destinations.filter { used.contains($0.name) }.flatMap { destination -> [Note] in
            let subject = "destination \(destination.name.printable)"
            // Copies that were too large have a warning of their own if virt-tapd runs, which makes it.
            let oversized = destination.warnings.contains { $0.reason == .mtuTooSmall } ? destination.oversized.packets : 0
            let lost = destination.errors.packets - min(destination.errors.packets, oversized)
            let limited = destination.rateLimited.packets
            return destination.warnings.map { Note(subject: subject, text: sentence($0.message, $0.reason), colour: .yellow) }
                + (lost == 0 ? [] : [undelivered(lost, of: destination, subject, isLast: oversized == 0, at: now)])
                + (limited == 0 ? [] : [Note(subject: subject, text: "\(frames(limited)) not copied: over its rate", colour: nil)])
        }
        return warnings
            + document.destinations.compactMap { destination in
                guard !isSelection || used.contains(destination.name), destination.state != .active,
                    destination.message.map({ !shown.contains($0) }) ?? true
                else { return nil }
                return Note(
                    subject: "destination \(destination.name.printable)",
                    text: sentence(destination.explanation, destination.reason),
                    colour: .of(destination.state))
            }
    }

    /// A note about copies that the tap made and the destination did not get.
    /// - Parameter isLast: whether the destination's latest error was one of these.
    private static func undelivered(
        _ packets: UInt64, of destination: DestinationStatus, _ subject: String, isLast: Bool, at now: Timestamp
    ) -> Note {
        let time = isLast ? destination.lastError : nil
        let last = time.map { " (\(packets == 1 ? "at" : "the last at") \($0))" } ?? ""
        let isFresh = time.map { now.seconds - $0.seconds <= warningPeriod } ?? true
        return Note(
            subject: subject,
            text: "\(packets) cop\(packets == 1 ? "y was" : "ies were") not delivered\(last); \(destination.sent.packets) "
                + (destination.sent.packets == 1 ? "was" : "were"),
            colour: isFresh ? .yellow : nil)
    }

    /// A message with its reason code, printable.
    static func sentence(_ message: String?, _ reason: Reason?) -> String {
        let code = reason.map { " (\($0.rawValue))" } ?? ""
        return (message?.printable ?? "no reason given") + code
    }
}
