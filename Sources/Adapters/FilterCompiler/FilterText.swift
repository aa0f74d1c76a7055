// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// What can be said of an expression without compiling it.
enum FilterText {
    /// Why an expression is not even tried.
    static func refusal(of expression: String) -> Failure? {
        let bytes = expression.utf8
        if bytes.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) {
            return invalid("the filter is empty: write a pcap-filter expression, or leave it out for everything")
        }
        guard bytes.count <= ChildLimits.expression else {
            return invalid("the filter has \(bytes.count) bytes; at most \(ChildLimits.expression) are allowed: make it shorter")
        }
        if bytes.contains(0) { return invalid("the filter has a NUL character: remove it") }
        if bytes.contains(UInt8(ascii: "#")) {
            return invalid(
                "the filter has a #, and libpcap knows no comments: remove them, or have `virt-tap set --filter-file` read the file, which "
                    + "leaves them out")
        }
        let end = expression.split { $0.isWhitespace }.last ?? ""
        if ["and", "or", "not"].contains(end) || ["&&", "||", "!"].contains(where: end.hasSuffix) {
            return invalid("the filter ends with \(end), behind which something must stand: remove it, or write what is missing")
        }
        for word in ["inbound", "outbound"] where has(word, in: expression) {
            return invalid(
                "the filter says \(word), which libpcap sees from the host, the reverse of the guest's view: remove it and write "
                    + "direction=\"\(word)\" on the tap")
        }
        return nil
    }

    /// Whether a word of the language occurs; names that only contain it do not count.
    private static func has(_ word: String, in expression: String) -> Bool {
        expression.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) && !"_-.:\\".contains($0) }.contains { $0 == word[...] }
    }

    /// Whether the word `vlan` may be in it. Rather once too often: where it is not, this costs milliseconds.
    static func asksAboutVLANs(_ expression: String) -> Bool { expression.contains("vlan") }

    static func invalid(_ message: String) -> Failure { Failure(.invalidFilter, message) }
}
