// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import Glibc
import TapModel

/// Formats the status document for people: a table with a row per tap and interface, and notes below it.
enum StatusTable {
    /// - Parameters:
    ///   - isSelection: whether the document holds only taps of domains on the command line.
    ///   - isKnown: whether a document without taps means that there are none.
    ///   - now: the time at which the document is shown.
    static func text(
        _ document: StatusDocument, isSelection: Bool = false, isKnown: Bool = true, for terminal: Terminal,
        at now: Timestamp = Timestamp(seconds: Int64(time(nil)))
    ) -> String {
        var lines: [String] = []
        if document.taps.isEmpty {
            lines += DisplayWidth.wrap(nothing(document.daemon, isSelection, isKnown), to: terminal.width, indent: "")
        } else {
            lines += table(document.taps).lines(for: terminal)
        }
        let notes = StatusNotes.of(document, isSelection: isSelection, at: now)
        if !notes.isEmpty { lines.append("") }
        for note in notes {
            var wrapped = DisplayWidth.wrap("\(note.subject): \(note.text)", to: terminal.width, indent: "    ")
            if terminal.isColoured, let colour = note.colour, wrapped[0].hasPrefix(note.subject) {
                wrapped[0] = colour.paint(note.subject) + wrapped[0].dropFirst(note.subject.count)
            }
            lines += wrapped
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// The text instead of an empty table. It says that there are no taps only if that is known.
    private static func nothing(_ daemon: StatusDocument.Daemon, _ isSelection: Bool, _ isKnown: Bool) -> String {
        guard isKnown else { return "the taps are not known" }
        guard daemon.running else { return isSelection ? "no taps of these domains in the kernel" : "no taps in the kernel" }
        if daemon.complete == false { return "the taps are not known yet: \(StatusNotes.whyIncomplete(daemon))" }
        if daemon.connected == false {
            return daemon.complete == true
                ? "no taps when libvirt last answered" : "the taps are not known: libvirt does not answer virt-tapd"
        }
        return "no taps: `virt-tap set DOMAIN --to DESTINATION` adds one; `virt-tap status --all` shows those of domains that are shut off"
    }

    private static func table(_ taps: [TapStatus]) -> TextTable {
        // Lost copies are rare: the column is shown only if there are some.
        let showsErrors = taps.contains { $0.interfaces.contains { errors($0) > 0 } }
        let needed = InterfaceColumns(taps)
        var table = TextTable(columns: [
            .init(title: "DOMAIN", isFlexible: true), .init(title: "INTERFACE", sacrifice: needed.alias ? nil : 4, isFlexible: true),
            .init(title: "DEVICE", sacrifice: needed.device ? nil : 6), .init(title: "TAP", isFlexible: true),
            .init(title: "DIRECTION", sacrifice: 2), .init(title: "DESTINATION", sacrifice: 3), .init(title: "STATE"),
            .init(title: "PACKETS", isNumber: true, sacrifice: 7), .init(title: "BYTES", isNumber: true, sacrifice: 1),
        ])
        if showsErrors { table.columns.append(.init(title: "ERRORS", isNumber: true, sacrifice: 8)) }
        // The notes below the table contain the reason, too.
        table.columns.append(.init(title: "REASON", sacrifice: 5))
        for tap in taps {
            // A tap without interfaces has a row, too: it exists, and does not work.
            let interfaces: [InterfaceStatus?] = tap.interfaces.isEmpty ? [nil] : tap.interfaces
            for interface in interfaces { table.rows.append(row(tap, interface, showsErrors: showsErrors)) }
        }
        return table
    }

    /// Number of packets whose copy was not delivered.
    private static func errors(_ interface: InterfaceStatus) -> UInt64 {
        [interface.inbound, interface.outbound].compactMap { $0 }.reduce(Counter()) { $0 + $1.errors }.packets
    }

    private static func row(_ tap: TapStatus, _ interface: InterfaceStatus?, showsErrors: Bool) -> [TextTable.Cell] {
        let state = interface?.state ?? tap.state
        let counters = [interface?.inbound, interface?.outbound].compactMap { $0 }
        let copied = counters.reduce(Counter()) { $0 + $1.copied }
        let reason = interface == nil ? tap.reason : interface?.reason
        var cells: [TextTable.Cell] = [
            .init(tap.domain.printable), .init(cell(interface?.alias ?? interface?.mac?.description)), .init(cell(interface?.device)),
            .init(tap.name.text), .init(cell(tap.direction?.rawValue)), .init(cell(tap.destination)),
            .init(state.rawValue, colour: .of(state)), .init(counters.isEmpty ? "-" : String(copied.packets)),
            .init(counters.isEmpty ? "-" : ByteCount.text(copied.bytes)),
        ]
        if showsErrors {
            let count = interface.map(errors) ?? 0
            cells.append(.init(counters.isEmpty ? "-" : String(count), colour: count > 0 ? .red : nil))
        }
        return cells + [.init(cell(reason?.rawValue))]
    }

    private static func cell(_ text: String?) -> String { text.map(\.printable) ?? "-" }

    /// The columns that a narrow table must keep, so that no two rows of a tap look the same.
    private struct InterfaceColumns {
        var alias = false
        var device = false

        init(_ taps: [TapStatus]) {
            func differ(_ key: (InterfaceStatus) -> String?) -> Bool {
                taps.allSatisfy { tap in Set(tap.interfaces.map { key($0) ?? "-" }).count == tap.interfaces.count }
            }
            guard taps.contains(where: { $0.interfaces.count > 1 }) else { return }
            // The device is shorter than the alias, and other tools show it. An interface that has no device yet has "-".
            device = differ(\.device)
            alias = !device && differ { $0.alias ?? $0.mac?.description }
            if !device, !alias { (device, alias) = (true, true) }
        }
    }
}

/// Formats the status document for `status --json`.
enum StatusJSON {
    /// JSON with sorted keys, two spaces of indentation and a newline at the end, so that diff can compare two documents.
    static func text(_ document: StatusDocument) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
    }
}
