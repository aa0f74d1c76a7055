// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// The sentences below the table: why what is not active is not, and what there is to know about the rest.
enum StatusNotes {
    struct Note: Equatable {
        /// What it is about, printable.
        var subject: String
        /// Printable.
        var text: String
        var colour: Colour?
    }

    /// So many taps are named; of more there is only the number.
    private static let named = 4

    /// Copies that were lost longer ago are still told of, but no warning any more: seconds.
    private static let freshness: Int64 = 600

    /// - Parameters:
    ///   - isSelection: whether the document holds some taps only: then of destinations those of these taps count.
    ///   - now: when it is read.
    static func of(_ document: StatusDocument, isSelection: Bool = false, at now: Timestamp) -> [Note] {
        host(document) + taps(document) + destinations(document, isSelection: isSelection, at: now)
    }

    private static func host(_ document: StatusDocument) -> [Note] {
        var notes: [Note] = []
        // Where there is no line, what stands in its place says so.
        if document.daemon.complete == false, !document.taps.isEmpty {
            let text = "\(ignorance(document.daemon)), so there may be taps that are not shown; what the kernel copies goes on"
            notes.append(Note(subject: "virt-tapd", text: text, colour: .yellow))
        } else if document.daemon.complete != false, document.daemon.connected == false {
            notes.append(Note(subject: "virt-tapd", text: "not connected to libvirt; what the kernel copies goes on", colour: .yellow))
        }
        if document.daemon.paused == true {
            notes.append(
                Note(subject: "virt-tapd", text: "paused by `virt-tap purge --now`; `systemctl reload virt-tapd` resumes", colour: .yellow))
        }
        for warning in document.daemon.warnings ?? [] {
            notes.append(Note(subject: "virt-tapd", text: sentence(warning.message, warning.reason), colour: .yellow))
        }
        if document.config.stale { notes += stale(document.config) }
        return notes
    }

    /// Why a daemon does not know all domains.
    static func ignorance(_ daemon: StatusDocument.Daemon) -> String {
        daemon.connected == true ? "libvirt is still being asked for the domains" : "libvirt has not answered yet"
    }

    /// So many lines of a bad configuration are shown; `virt-tap check` shows all.
    private static let problems = 8

    /// The message has a line for each thing that is wrong: `FILE:LINE: what`.
    private static func stale(_ config: StatusDocument.Config) -> [Note] {
        let path = config.path.printable
        let lines = config.message?.split(separator: "\n").map(String.init) ?? []
        // With nothing in force before it, all waits for it.
        let colour: Colour = config.loaded == nil ? .red : .yellow
        let what =
            config.loaded == nil
            ? "cannot be used, and nothing was in force before it: taps in the kernel stay as they are, nothing new is tapped. It is taken by "
                + "itself when it is right (\(Reason.configInvalid.rawValue))"
            : "could not be loaded, the configuration before it is in force (\(Reason.configStale.rawValue))"
        var notes = [Note(subject: path, text: what, colour: colour)]
        for line in lines.prefix(problems) {
            let inert = line.inert
            let isPlaced = inert.hasPrefix("\(path):")
            // The place as the subject, where there is one.
            guard isPlaced, let end = inert.firstRange(of: ": ") else {
                notes.append(Note(subject: path, text: inert, colour: colour))
                continue
            }
            notes.append(Note(subject: String(inert[..<end.lowerBound]), text: String(inert[end.upperBound...]), colour: colour))
        }
        if lines.count > problems {
            notes.append(Note(subject: path, text: "and \(lines.count - problems) more: `virt-tap check` says all", colour: colour))
        }
        return notes
    }

    private static func taps(_ document: StatusDocument) -> [Note] {
        let limited = Set(document.destinations.filter { $0.rateLimited.packets > 0 }.map(\.name))
        // The same sentence about many taps is one sentence.
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
            if let text = keptBack(by: tap, limited) { add(subject, text, nil) }
            for warning in tap.warnings where !(document.config.stale && warning.reason == .configStale) {
                // What somebody did to a device that is tapped as before is no trouble.
                add(subject, sentence(warning.message, warning.reason), warning.reason == .deviceChanged ? nil : .yellow)
            }
        }
        return order.map { text in
            let about = subjects[text] ?? []
            let subject = about.count > named ? "\(about.count) taps" : about.joined(separator: ", ")
            return Note(subject: subject, text: text, colour: colours[text])
        }
    }

    /// What a tap's own rate left out: as it is meant to, but nobody sees it among what was copied.
    /// - Parameter limited: destinations whose own rate left out some, which the tap counts, too.
    private static func keptBack(by tap: TapStatus, _ limited: Set<String>) -> String? {
        let counters = tap.interfaces.flatMap { [$0.inbound, $0.outbound].compactMap { $0 } }
        let count = counters.reduce(Counter()) { $0 + $1.rateLimited }.packets
        guard let rate = tap.rate, count > 0 else { return nil }
        return "\(frames(count)) not copied, being over its rate of \(rate)" + (tap.burst.map { " (burst \($0))" } ?? "")
            + (tap.destination.map(limited.contains) == true ? ", or over its destination's" : "")
    }

    private static func frames(_ count: UInt64) -> String { count == 1 ? "1 frame was" : "\(count) frames were" }

    private static func destinations(_ document: StatusDocument, isSelection: Bool, at now: Timestamp) -> [Note] {
        let told = Set(document.taps.flatMap { [$0.message] + $0.interfaces.map(\.message) }.compactMap { $0 })
        // What no tap uses loses no copies.
        let used = Set(document.taps.compactMap(\.destination))
        let warnings = document.destinations.filter { used.contains($0.name) }.flatMap { destination -> [Note] in
            let subject = "destination \(destination.name.printable)"
            // Those that were too large are in a warning of their own, when there is somebody to give it.
            let told = destination.warnings.contains { $0.reason == .mtuTooSmall } ? destination.oversized.packets : 0
            let lost = destination.errors.packets - min(destination.errors.packets, told)
            let limited = destination.rateLimited.packets
            return destination.warnings.map { Note(subject: subject, text: sentence($0.message, $0.reason), colour: .yellow) }
                + (lost == 0 ? [] : [undelivered(lost, of: destination, subject, isLast: told == 0, at: now)])
                + (limited == 0 ? [] : [Note(subject: subject, text: "\(frames(limited)) not copied, being over its rate", colour: nil)])
        }
        return warnings
            + document.destinations.compactMap { destination in
                guard !isSelection || used.contains(destination.name), destination.state != .active,
                    destination.message.map({ !told.contains($0) }) ?? true
                else { return nil }
                return Note(
                    subject: "destination \(destination.name.printable)",
                    text: sentence(destination.explanation, destination.reason),
                    colour: .of(destination.state))
            }
    }

    /// Copies may be lost behind the tap, which counted them as copied.
    /// - Parameter isLast: whether the destination's latest error was one of these.
    private static func undelivered(
        _ packets: UInt64, of destination: DestinationStatus, _ subject: String, isLast: Bool, at now: Timestamp
    ) -> Note {
        let time = isLast ? destination.lastError : nil
        let last = time.map { " (\(packets == 1 ? "at" : "the last at") \($0))" } ?? ""
        let isFresh = time.map { now.seconds - $0.seconds <= freshness } ?? true
        return Note(
            subject: subject,
            text: "\(packets) cop\(packets == 1 ? "y" : "ies") could not be delivered\(last), "
                + (destination.sent.packets == 0
                    ? "none was" : "\(destination.sent.packets) \(destination.sent.packets == 1 ? "was" : "were")"),
            colour: isFresh ? .yellow : nil)
    }

    private static func sentence(_ message: String?, _ reason: Reason?) -> String {
        let code = reason.map { " (\($0.rawValue))" } ?? ""
        return (message?.printable ?? "no reason is known") + code
    }
}
