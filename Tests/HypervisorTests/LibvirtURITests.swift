// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
import Hypervisor
import Testing

/// The environment belongs to the whole process, so one test after the other.
@Suite(.serialized) struct LibvirtURITests {
    @Test func whatIsGivenCountsMost() {
        with("test:///environment") { #expect(LibvirtURI.effective("test:///given") == "test:///given") }
    }

    @Test func thenTheEnvironment() {
        with("test:///environment") {
            #expect(LibvirtURI.effective(nil) == "test:///environment")
            #expect(LibvirtURI.effective("") == "test:///environment")
        }
    }

    @Test(arguments: [nil, ""]) func thenTheSystem(_ environment: String?) {
        with(environment) { #expect(LibvirtURI.effective(nil) == "qemu:///system") }
    }

    private func with(_ value: String?, _ body: () -> Void) {
        let name = "LIBVIRT_DEFAULT_URI"
        let before = getenv(name).map { String(cString: $0) }
        if let value { setenv(name, value, 1) } else { unsetenv(name) }
        defer { if let before { setenv(name, before, 1) } else { unsetenv(name) } }
        body()
    }
}
