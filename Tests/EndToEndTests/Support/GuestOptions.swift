// SPDX-License-Identifier: LGPL-2.1-or-later

/// What a test guest is to be; see "lab guest" in scripts/lab.
struct GuestOptions: Sendable {
    /// Each "bridge=…,mac=…,alias=…,target=…,ip=ADDRESS/PREFIX"; none means one interface in br0.
    var nics: [String] = []
    /// `<interface>` elements written out in full, behind the others.
    var interfaces: [String] = []
    /// Words for the guest's kernel command line, such as "vt.burst=100:192.0.2.255"; Tests/guest/init lists them.
    var append = ""
    /// XML inside of `<metadata>`.
    var metadata = ""
    var uuid: String?
    var transient = false
    /// With tcpdump in it.
    var tcpdump = false
    /// MiB; nil: as much as lab gives it.
    var memory: Int?
    /// false: only define it.
    var start = true
    /// Wait until it has configured its interfaces and answers.
    var ready = true

    init(ip: String? = nil, append: String = "", metadata: String = "", start: Bool = true) {
        nics = ip.map { ["bridge=br0,ip=\($0)"] } ?? []
        self.append = append
        self.metadata = metadata
        self.start = start
    }

    var arguments: [String] {
        var words = nics.flatMap { ["--nic", $0] } + interfaces.flatMap { ["--interface", $0] }
        words += ["--append", append, "--metadata", metadata]
        if let uuid { words += ["--uuid", uuid] }
        if transient { words.append("--transient") }
        if tcpdump { words.append("--tcpdump") }
        if let memory { words += ["--memory", String(memory)] }
        if !start { words.append("--define") }
        if start && ready { words.append("--ready") }
        return words
    }
}
