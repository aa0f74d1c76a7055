// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import TapModel

/// The status document as people read it: a line for each tap and interface, and sentences below.
enum StatusTable {
    /// - Parameters:
    ///   - isSelection: whether domains were named, so that the document need not hold all taps.
    ///   - isKnown: whether a document without taps means that there are none.
    ///   - now: when it is read.
    static func text(
        _ document: StatusDocument, isSelection: Bool = false, isKnown: Bool = true, for terminal: Terminal,
        at now: Timestamp = Timestamp(seconds: Int64(time(nil)))
    ) -> String {
        var lines: [String] = []
        if document.taps.isEmpty, !isKnown {
            lines.append("what taps there are is not known")
        } else if document.taps.isEmpty {
            lines.append(
                document.daemon.running
                    ? "no taps: `virt-tap set DOMAIN --to DESTINATION` makes one; --all shows those of domains that are shut off"
                    : isSelection ? "none of the taps in the kernel is of these domains" : "no taps in the kernel")
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

    private static func table(_ taps: [TapStatus]) -> TextTable {
        // Copies that did not arrive are rare: the column is there when there are some.
        let showsErrors = taps.contains { $0.interfaces.contains { errors($0) > 0 } }
        var table = TextTable(columns: [
            .init(title: "DOMAIN"), .init(title: "INTERFACE", sacrifice: 1), .init(title: "DEVICE", sacrifice: 4), .init(title: "TAP"),
            .init(title: "DIRECTION", sacrifice: 2), .init(title: "DESTINATION", sacrifice: 5), .init(title: "STATE"),
            .init(title: "PACKETS", isNumber: true, sacrifice: 6), .init(title: "BYTES", isNumber: true, sacrifice: 3),
        ])
        if showsErrors { table.columns.append(.init(title: "ERRORS", isNumber: true, sacrifice: 7)) }
        table.columns.append(.init(title: "REASON"))
        for tap in taps {
            // A tap without interfaces has a line too: it is there, and something is wrong with it.
            let interfaces: [InterfaceStatus?] = tap.interfaces.isEmpty ? [nil] : tap.interfaces
            for interface in interfaces { table.rows.append(row(tap, interface, showsErrors: showsErrors)) }
        }
        return table
    }

    /// Packets that should have been copied and were not delivered.
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
}
