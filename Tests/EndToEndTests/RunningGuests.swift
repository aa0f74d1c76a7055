// SPDX-License-Identifier: LGPL-2.1-or-later

import Testing

extension EndToEnd {
    /// Tests on two guests that run all the time, `web1` (192.0.2.11) and `web2` (192.0.2.12), on one tapped host.
    ///
    /// A test may tap them, and takes its taps away again.
    @Suite(
        .serialized,
        .tappedHost { host in
            var options = GuestOptions(append: "vt.ip.1=198.51.100.11/24")
            // A name of its own: libvirt drops "vnet…" from what is written, and tests name this device elsewhere.
            options.nics = ["bridge=br0,ip=192.0.2.11/24,target=tap-web1"]
            options.memory = StreamSize.guestMemory
            var other = GuestOptions(ip: "192.0.2.12/24")
            other.memory = StreamSize.guestMemory
            async let first = host.lab.guest("web1", options)
            async let second = host.lab.guest("web2", other)
            _ = try await (first, second)
        })
    enum RunningGuests {
        static let address1 = "192.0.2.11"
        static let address2 = "192.0.2.12"
    }
}

extension TappedHost {
    var web1: Guest { Guest(host: lab, name: "web1") }
    var web2: Guest { Guest(host: lab, name: "web2") }
}
