// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

@testable import TapHost

@Suite("Where the installed pages are")
struct DocumentationTests {
    @Test("Beside the program, else where packages put them")
    func path() {
        let page = "reference/configuration.md"
        #expect(
            Documentation.path(page, of: "/usr/local/bin/virt-tap") { $0.hasPrefix("/usr/local/share/doc/virt-tap/docs/") }
                == "/usr/local/share/doc/virt-tap/docs/reference/configuration.md")
        for program in ["/work/.build/debug/virt-tap", "", "virt-tap"] {
            #expect(Documentation.path(page, of: program) { _ in false } == "/usr/share/doc/virt-tap/docs/reference/configuration.md")
        }
    }
}
