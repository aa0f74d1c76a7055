// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Testing

@testable import TapCommands

@Suite("Files with filters")
struct FilterFileTests {
    private func refusal(_ text: String) -> String? {
        do throws(CommandFailure) {
            _ = try FilterFile.expression(text, of: "bpf.conf")
            return nil
        } catch {
            return error.lines.joined(separator: "\n")
        }
    }

    @Test("Comments, blank lines, one term a line, as in Security Onion's bpf.conf; Windows' line ends and mark")
    func taken() throws {
        let text = """
            # Nothing that the backup does.
            !(src host 192.0.2.1 && dst port 873) &&   # rsync

            \t# not host 192.0.2.9 &&
            not host 192.0.2.2 &&
            not net 2001:db8::/32
            """
        let expected = "!(src host 192.0.2.1 && dst port 873) && not host 192.0.2.2 && not net 2001:db8::/32"
        #expect(try FilterFile.expression(text, of: "f") == expected)
        #expect(try FilterFile.expression("\u{FEFF}" + text.replacingOccurrences(of: "\n", with: "\r\n") + "\r\n", of: "f") == expected)
        // Lines may end within a term, and begin with the operator.
        #expect(try FilterFile.expression("tcp\nport\n80\nor host 192.0.2.1", of: "f") == "tcp port 80 or host 192.0.2.1")
        #expect(try FilterFile.expression("host 192.0.2.1 and\n(port 80\nor port 443)", of: "f").hasSuffix("(port 80 or port 443)"))
        #expect(try FilterFile.expression("udp[8:4] & 0xff\n!= 7", of: "f") == "udp[8:4] & 0xff != 7")
    }

    @Test("Refused with the lines that nothing joins, and where nothing is left")
    func refused() throws {
        let list = try #require(refusal("# hosts\nnot host 192.0.2.1\n\nnot host 192.0.2.2\n"))
        #expect(list.hasPrefix("bpf.conf: no operator between line 2 (not host 192.0.2.1) and line 4 (not host 192.0.2.2): "))
        #expect(list.contains("&& or ||"))
        #expect(refusal("(port 80)\n!host 192.0.2.1") != nil)
        for empty in ["", "\n \n", "# nothing\n#"] { #expect(refusal(empty)?.contains("no filter, only spaces") == true) }
    }

    @Test("From a file; what cannot be read, or is no text, is said")
    func files() throws {
        let path = NSTemporaryDirectory() + "filter-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(throws: CommandFailure.self) { try FilterFile.read(path) }
        try Data("port 53 # DNS\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(try FilterFile.read(path) == "port 53")
        try Data([0xff, 0xfe, 0x70, 0x00]).write(to: URL(fileURLWithPath: path))
        #expect(throws: CommandFailure.self) { try FilterFile.read(path) }
    }
}
