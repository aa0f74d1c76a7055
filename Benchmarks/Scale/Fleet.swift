// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibvirt
import DataplaneTestSupport
import Foundation

/// Domains of libvirt's test driver in a real libvirtd, with a real tap device each.
final class Fleet {
    /// libvirt removes `vnetN` from the XML, so they have other names.
    let devices: [TapDevice]
    private let connection: virConnectPtr
    private var domains: [virDomainPtr] = []
    /// Where each domain's copies are to go, by name.
    private(set) var destinations: [String: String] = [:]

    /// The test driver inside libvirtd: everybody who uses this address sees the same domains.
    static let uri = "test+unix:///default?socket=/run/libvirt/libvirt-sock"

    init(count: Int) throws {
        var limit = rlimit(rlim_cur: 65_536, rlim_max: 65_536)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        devices = try (0..<count).map { try TapDevice("gst\($0)") }
        var script = ""
        for (number, device) in devices.enumerated() {
            script += "link set \(device.name) address fe:54:00:\(Self.suffix(number)) up\n"
        }
        try Self.ip(script)
        guard let connection = virConnectOpen(Self.uri) else {
            throw BenchmarkFailure(description: "libvirt's test driver: \(Self.lastError)")
        }
        self.connection = connection
    }

    deinit {
        for domain in domains { virDomainFree(domain) }
        virConnectClose(connection)
    }

    /// Starts all domains, the first so many with a tap.
    func define(tapped: Int) throws {
        for (number, device) in devices.enumerated() {
            let metadata = number < tapped ? "<metadata>\(Self.tap("mon0"))</metadata>" : ""
            let xml = """
                <domain type='test'><name>guest\(number)</name><memory>1024</memory>\(metadata)<os><type>hvm</type></os><devices>
                <interface type='bridge'><mac address='52:54:00:\(Self.suffix(number))'/><source bridge='br0'/><target dev='\(device.name)'/>
                </interface></devices></domain>
                """
            guard let domain = virDomainCreateXML(connection, xml, 0) else {
                throw BenchmarkFailure(description: "guest\(number): \(Self.lastError)")
            }
            domains.append(domain)
            if number < tapped { destinations["guest\(number)"] = "mon0" }
        }
    }

    /// Sets or removes a domain's tap; libvirt has done it on return.
    func set(_ number: Int, to destination: String?) throws {
        destinations["guest\(number)"] = destination
        let kind = Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue)
        let uri = "urn:virt-tap:1"
        let result =
            if let destination {
                virDomainSetMetadata(
                    domains[number], kind, "<tap name='t' to='\(destination)'/>", "tap", uri, VIR_DOMAIN_AFFECT_LIVE.rawValue)
            } else {
                virDomainSetMetadata(domains[number], kind, nil, nil, uri, VIR_DOMAIN_AFFECT_LIVE.rawValue)
            }
        // One that is not there cannot be removed, which is as well.
        guard result == 0 || destination == nil else { throw BenchmarkFailure(description: "guest\(number): \(Self.lastError)") }
    }

    private static func tap(_ destination: String) -> String { "<t:tap xmlns:t='urn:virt-tap:1' name='t' to='\(destination)'/>" }

    private static func suffix(_ number: Int) -> String { String(format: "00:%02x:%02x", number >> 8, number & 0xFF) }

    private static var lastError: String { virGetLastErrorMessage().map { String(cString: $0) } ?? "unknown error" }

    /// `ip -batch` with these lines.
    static func ip(_ script: String) throws { try batch("ip", script) }

    static func batch(_ program: String, _ script: String) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(program)-\(getpid())")
        try Data(script.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program, "-batch", file.path]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw BenchmarkFailure(description: "\(program) -batch failed") }
    }
}
