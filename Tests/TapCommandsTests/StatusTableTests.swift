// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@testable import TapCommands

@Suite("The table of status")
struct StatusTableTests {
    private let mixed = Samples.document(
        [
            Samples.tap(
                "web1", interfaces: [Samples.interface("net0", device: "vnet3")],
                warnings: [.init(reason: .hookMissing, message: "no hook is installed")]),
            Samples.tap(
                "web2", state: .degraded, reason: .deviceGone, message: "1 of 2",
                interfaces: [
                    Samples.interface("net0", device: "vnet4", copied: Counter(packets: 7, bytes: 700)),
                    Samples.interface(
                        "net1", device: nil, state: .pending, reason: .deviceGone, message: "no device yet", copied: nil),
                ], warnings: [.init(reason: .hookMissing, message: "no hook is installed")]),
            Samples.tap("db", name: "x", state: .failed, reason: .noSuchDestination, message: "there is no destination x"),
        ],
        destinations: [
            DestinationStatus(
                name: "ids", kind: .interface, failure: Failure(.destinationDown, "mon0 is down", about: "destination ids"))
        ])

    @Test("A line for each tap and interface, sentences below")
    func plain() {
        #expect(
            StatusTable.text(mixed, for: .none) == """
                DOMAIN  INTERFACE  DEVICE  TAP  DIRECTION  DESTINATION  STATE    PACKETS    BYTES  REASON
                web1    net0       vnet3   ids  both       ids          active      1234  1.9 MiB  -
                web2    net0       vnet4   ids  both       ids          active         7    700 B  -
                web2    net1       -       ids  both       ids          pending        -        -  device-gone
                db      -          -       x    both       ids          failed         -        -  no-such-destination

                web1/ids, web2/ids: no hook is installed (hook-missing)
                web2/ids net1: no device yet (device-gone)
                db/x: there is no destination x (no-such-destination)
                destination ids: mon0 is down (destination-down)

                """)
    }

    @Test("Packets that were not delivered have a column when there are any")
    func errors() {
        var broken = Samples.interface("net0", device: "vnet3")
        broken.outbound?.errors = Counter(packets: 12, bytes: 900)
        let whole = Samples.interface("net0", device: "vnet4")
        let taps = [Samples.tap("web1", interfaces: [broken]), Samples.tap("web2", interfaces: [whole])]
        #expect(
            StatusTable.text(Samples.document(taps), for: .none) == """
                DOMAIN  INTERFACE  DEVICE  TAP  DIRECTION  DESTINATION  STATE   PACKETS    BYTES  ERRORS  REASON
                web1    net0       vnet3   ids  both       ids          active     1234  1.9 MiB      12  -
                web2    net0       vnet4   ids  both       ids          active     1234  1.9 MiB       0  -

                """)
    }

    @Test("What a destination lost behind its taps is said, and warnings of those that are used")
    func destinations() {
        func destination(_ name: String) -> DestinationStatus {
            DestinationStatus(
                name: name, kind: .interface, device: "mon0", failure: nil,
                record: DestinationRecord(
                    label: name, kind: .interface, ifindex: 1, sent: Counter(packets: 88, bytes: 9_000),
                    errors: Counter(packets: 3, bytes: 180)),
                warnings: [.init(reason: .mtuTooSmall, message: "too small")])
        }
        let document = Samples.document(
            [Samples.tap("web1", interfaces: [Samples.interface("net0", device: "vnet3")])],
            destinations: [destination("ids"), destination("unused")])
        #expect(
            StatusTable.text(document, for: .none).hasSuffix(
                """

                destination ids: too small (mtu-too-small)
                destination ids: 3 copies were not delivered; 88 were

                """))
    }

    @Test("When copies were last lost is said, and is a warning for ten minutes", arguments: [(600, true), (601, false)])
    func lastLoss(_ later: Int64, _ isWarning: Bool) {
        let lost = Timestamp("2026-11-28T04:40:00Z")!
        let document = Samples.document(
            [Samples.tap("web1", interfaces: [Samples.interface("net0", device: "vnet3")])],
            destinations: [
                DestinationStatus(
                    name: "ids", kind: .interface, device: "mon0", failure: nil,
                    record: DestinationRecord(
                        label: "ids", kind: .interface, ifindex: 1, sent: Counter(packets: 88, bytes: 9_000),
                        errors: Counter(packets: 3, bytes: 180), lastError: lost))
            ])
        let notes = StatusNotes.of(document, at: Timestamp(seconds: lost.seconds + later))
        #expect(
            notes == [
                .init(
                    subject: "destination ids", text: "3 copies were not delivered (the last at 2026-11-28T04:40:00Z); 88 were",
                    colour: isWarning ? .yellow : nil)
            ])
    }

    @Test("What a rate left out is said, the tap's own and its destination's")
    func keptBack() {
        var interface = Samples.interface("net0", device: "vnet3")
        interface.outbound?.rateLimited = Counter(packets: 489, bytes: 40_000)
        var tap = Samples.tap("web1", interfaces: [interface])
        (tap.rate, tap.burst) = ("1mbit", "64k")
        let destination = DestinationStatus(
            name: "ids", kind: .interface, device: "mon0", failure: nil,
            record: DestinationRecord(
                label: "ids", kind: .interface, ifindex: 1, sent: Counter(), errors: Counter(), rateLimited: Counter(packets: 1, bytes: 60))
        )
        let down = DestinationStatus(name: "span", kind: .interface, failure: Failure(.destinationDown, "interface mon1 does not exist"))
        let document = Samples.document([tap], destinations: [destination, down])
        let text = StatusTable.text(document, for: .none)
        let own = "\nweb1/ids: 489 frames were not copied: over its rate of 1mbit (burst 64k)"
        #expect(text.contains("\(own), or over its destination's rate\n"))
        #expect(StatusTable.text(Samples.document([tap]), for: .none).contains("\(own)\n"))
        #expect(text.contains("\ndestination ids: 1 frame was not copied: over its rate\n"))
        #expect(text.contains("destination span"))
        // Of named domains' taps: what they do not use is not their business.
        #expect(!StatusTable.text(document, isSelection: true, for: .none).contains("destination span"))
    }

    @Test("A copy that was too large is told of once")
    func oversized() {
        var destination = DestinationStatus(
            name: "ids", kind: .vxlan, device: "mon0", failure: nil,
            record: DestinationRecord(
                label: "ids", kind: .vxlan, ifindex: 1, sent: Counter(), errors: Counter(packets: 20, bytes: 30_000),
                oversized: Counter(packets: 20, bytes: 30_000)),
            warnings: [.init(reason: .mtuTooSmall, message: "20 dropped")])
        func text() -> String {
            StatusTable.text(
                Samples.document(
                    [Samples.tap("web1", interfaces: [Samples.interface("net0", device: "vnet3")])], destinations: [destination]),
                for: .none)
        }
        #expect(text().contains("20 dropped") && !text().contains("not delivered"))
        destination.errors.packets += 1
        destination.lastError = Timestamp("2026-11-28T04:40:00Z")
        #expect(text().contains("1 copy was not delivered; 0 were"), "the latest may have been one that was too large")
        // With nobody to warn of it.
        destination.warnings = []
        #expect(text().contains("21 copies were not delivered"))
    }

    @Test("Colour stands around words and moves nothing")
    func coloured() {
        let text = StatusTable.text(mixed, for: Terminal(isTerminal: true, width: nil, isColoured: true))
        #expect(text.contains("\u{1B}[32mactive\u{1B}[0m   "))
        #expect(text.contains("\u{1B}[31mfailed\u{1B}[0m"))
        var stripped = text
        for code in ["\u{1B}[0m", "\u{1B}[1m", "\u{1B}[31m", "\u{1B}[32m", "\u{1B}[33m", "\u{1B}[36m", "\u{1B}[2m"] {
            stripped = stripped.split(separator: code, omittingEmptySubsequences: false).joined()
        }
        #expect(stripped == StatusTable.text(mixed, for: .none))
    }

    @Test("On a narrow terminal columns go, and what says that something is wrong stays", arguments: [100, 80, 60, 40])
    func narrow(width: Int) {
        let text = StatusTable.text(mixed, for: Terminal(isTerminal: true, width: width, isColoured: false))
        let lines = text.split(separator: "\n")
        for line in lines { #expect(DisplayWidth.of(String(line)) <= max(width, 50), "\(line)") }
        #expect(lines[0].contains("DOMAIN") && lines[0].contains("TAP") && lines[0].contains("STATE") && lines[0].contains("DEVICE"))
        #expect(text.contains("no-such-destination"))
    }

    /// Six guests with names as people give them, two interfaces and two taps each.
    private static func crowd(devices: Bool = true, domain: (Int) -> String = { "customer-shop-frontend-0\($0)" }) -> StatusDocument {
        Samples.document(
            (1...6).flatMap { guest in
                ["ids", "forensics-full"].map { tap in
                    var one = Samples.tap(
                        domain(guest), name: tap,
                        interfaces: (0...1).map {
                            Samples.interface(
                                "net\($0)", device: devices ? "vnet\(guest * 2 + $0)" : nil, state: devices ? .active : .pending,
                                reason: devices ? nil : .deviceGone, message: devices ? nil : "no device yet",
                                copied: Counter(packets: 123_456_789, bytes: 987_654_321))
                        })
                    one.destination = "sensor-cluster-a"
                    return one
                }
            })
    }

    @Test("Two interfaces of a guest never look the same, nor two guests, and no line is too wide", arguments: [120, 100, 80, 60, 50])
    func distinguishable(width: Int) {
        for document in [
            Self.crowd(), Self.crowd(devices: false), Self.crowd { "customer-\($0)-with-a-rather-long-name-of-a-shop-frontend" },
            Self.crowd { "\($0)-customer-with-a-rather-long-name-of-a-shop-frontend" },
        ] {
            let text = StatusTable.text(document, for: Terminal(isTerminal: true, width: width, isColoured: false))
            let rows = text.split(separator: "\n", omittingEmptySubsequences: false).prefix { !$0.isEmpty }.dropFirst()
            #expect(rows.count == 24 && Set(rows).count == 24, "\(text)")
            for row in rows { #expect(DisplayWidth.of(String(row)) <= width, "\(row)") }
        }
    }

    @Test("At 80 columns bytes, direction and destination go before what tells interfaces apart")
    func eighty() {
        let text = StatusTable.text(Self.crowd(), for: Terminal(isTerminal: true, width: 80, isColoured: false))
        #expect(
            text.split(separator: "\n").prefix(3) == [
                "DOMAIN                     DEVICE  TAP             STATE     PACKETS  REASON",
                "customer-shop-frontend-01  vnet2   ids             active  123456789  -",
                "customer-shop-frontend-01  vnet3   ids             active  123456789  -",
            ])
    }

    @Test("Names that differ go on to differ when they are cut")
    func shortened() {
        #expect(DisplayWidth.truncatedApart(["shop-frontend-01", "shop-frontend-02"], to: 9) == ["shop…d-01", "shop…d-02"])
        #expect(DisplayWidth.truncatedApart(["aaaaaaXaaaaaaaa", "aaaaaaYaaaaaaaa"], to: 8) == ["aaaaaaX…", "aaaaaaY…"])
        #expect(DisplayWidth.truncatedApart(["short"], to: 8) == ["short"])
        #expect(DisplayWidth.truncatedApart(["网络网络网络-1", "网络网络网络-2"], to: 8).allSatisfy { DisplayWidth.of($0) <= 8 })
    }

    @Test("A refusal of the verifier: the tap first, once for all interfaces, wrapped as wide as the terminal")
    func refusal() {
        let detail =
            "the kernel's verifier refused the program (Permission denied): invalid indirect read from stack R4 off -64+0 size 48. "
            + "`virt-tap doctor` says whether virt-tapd has the rights that the program needs."
        let interfaces = [("net0", "vnet0"), ("net1", "vnet1")].map { alias, device in
            var status = Samples.interface(
                alias, device: device, state: .failed, reason: .attachFailed, message: "tap \"ids\" of web1 on \(device): \(detail)",
                copied: nil)
            status.detail = detail
            return status
        }
        let document = Samples.document([Samples.tap("web1", state: .failed, reason: .attachFailed, interfaces: interfaces)])
        let lines = StatusTable.text(document, for: Terminal(isTerminal: true, width: 80, isColoured: false)).split(separator: "\n")
        #expect(
            lines.dropFirst(3) == [
                "web1/ids net0, web1/ids net1: the kernel's verifier refused the program",
                "    (Permission denied): invalid indirect read from stack R4 off -64+0 size 48.",
                "    `virt-tap doctor` says whether virt-tapd has the rights that the program",
                "    needs. (attach-failed)",
            ])
    }

    @Test("Hostile names cannot act on the terminal or pose as other lines")
    func hostile() {
        let names = ["--help", "$(id)", "a\nweb9  net0", "\u{1B}[2J", "\u{202E}gnp", "z\u{200B}w", "\u{9B}31m", "tab\there", "back\\slash"]
        let taps = names.map {
            Samples.tap($0, state: .failed, reason: .invalidMetadata, message: "bad \($0)", interfaces: [Samples.interface($0, device: $0)])
        }
        let text = StatusTable.text(Samples.document(taps), for: .none)
        for scalar in text.unicodeScalars where scalar != "\n" {
            #expect(scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value), "U+\(String(scalar.value, radix: 16))")
            #expect(scalar.properties.generalCategory != .format)
        }
        #expect(text.split(separator: "\n").count { $0.contains("both") } == names.count)
        #expect(text.contains(#"a\u{a}web9"#) && text.contains(#"back\\slash"#) && text.contains("$(id)"))
    }

    @Test("Wide characters are as wide as a terminal draws them")
    func wide() {
        let document = Samples.document([
            Samples.tap("网络-1", interfaces: [Samples.interface("net0", device: "vnet1")]),
            Samples.tap("e\u{301}", interfaces: [Samples.interface("net0", device: "vnet2")]),
        ])
        let lines = StatusTable.text(document, for: .none).split(separator: "\n").map(String.init)
        let columns = lines[1...2].map { line in
            DisplayWidth.of(String(line[..<(line.firstRange(of: "vnet")?.lowerBound ?? line.startIndex)]))
        }
        #expect(columns == [19, 19])
    }

    @Test("Without taps it says what to do")
    func empty() {
        #expect(StatusTable.text(Samples.document([]), for: .none).hasPrefix("no taps: `virt-tap set DOMAIN --to"))
    }

    @Test("Many taps with the same trouble are one sentence")
    func grouped() {
        let taps = (0..<20).map { Samples.tap("d\($0)", state: .disabled, reason: .disabledByHost, message: "stopped") }
        let text = StatusTable.text(Samples.document(taps), for: .none)
        #expect(text.hasSuffix("\n20 taps: stopped (disabled-by-host)\n"))
    }

    @Test("What the daemon itself has to say")
    func host() {
        var document = mixed
        document.daemon.connected = false
        document.daemon.paused = true
        document.config.stale = true
        document.config.message = "/etc/virt-tap/config.xml:3: /virt-tap/x: bad\u{1B}\n/etc/virt-tap/config.xml:9: worse"
        document.taps[0].warnings.append(.init(reason: .configStale, message: "the configuration file was changed"))
        let text = StatusTable.text(document, for: .none)
        #expect(text.contains("\nvirt-tapd: not connected to libvirt"))
        #expect(text.contains("\nvirt-tapd: paused by `virt-tap purge --now`"))
        #expect(
            text.contains(
                #"""

                /etc/virt-tap/config.xml: invalid: virt-tapd still uses the configuration before it (config-stale)
                /etc/virt-tap/config.xml:3: /virt-tap/x: bad\u{1b}
                /etc/virt-tap/config.xml:9: worse

                """#))
        #expect(text.ranges(of: "config-stale").count == 1, "told above, once")
        document.config.message = (1...20).map { "/etc/virt-tap/config.xml:\($0): bad" }.joined(separator: "\n")
        #expect(StatusTable.text(document, for: .none).contains("/etc/virt-tap/config.xml: 12 more errors; `virt-tap check` shows all\n"))
    }

    @Test(
        "Bytes",
        arguments: zip(
            [0, 1, 1_023, 1_024, 102_399, 102_400, 1 << 20, 3 << 40, .max],
            ["0 B", "1 B", "1023 B", "1.0 KiB", "99.9 KiB", "100 KiB", "1.0 MiB", "3.0 TiB", "15.9 EiB"]))
    func bytes(count: UInt64, text: String) {
        #expect(ByteCount.text(count) == text)
    }

    @Test("In place: every line is cleared behind its text, and the rest of the screen too")
    func inPlace() {
        #expect(StatusCommand.inPlace("a\nb\n", height: nil) == "\u{1B}[Ha\u{1B}[K\nb\u{1B}[K\n\u{1B}[K\u{1B}[J")
        let cut = StatusCommand.inPlace((1...10).map { "\($0)\n" }.joined(), height: 5)
        #expect(cut.split(separator: "\n").count == 5 && cut.contains("3\u{1B}[K\n(7 more lines)\u{1B}[K\n"))
    }
}
