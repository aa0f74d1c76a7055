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

    @Test(arguments: ["qemu:///system", "qemu+unix:///system", "qemu:///system?socket=/run/other", "qemu+unix:///system?socket=/run/other"])
    func whoCallsTheHookOfThisHost(_ uri: String) { #expect(LibvirtURI.callsHook(uri)) }

    @Test(arguments: [
        "test:///default", "qemu:///session", "qemu+ssh://root@hv2/system", "qemu+tls://hv2/system", "lxc:///system", "xen:///system",
        "qemu", "",
        "qemu:///system/more", "qemu+ssh:///system",
    ])
    func whoDoesNot(_ uri: String) { #expect(!LibvirtURI.callsHook(uri)) }

    private func with(_ value: String?, _ body: () -> Void) {
        let name = "LIBVIRT_DEFAULT_URI"
        let before = getenv(name).map { String(cString: $0) }
        if let value { setenv(name, value, 1) } else { unsetenv(name) }
        defer { if let before { setenv(name, before, 1) } else { unsetenv(name) } }
        body()
    }
}
