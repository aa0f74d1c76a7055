// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc

/// What a host has learned by one device, and in general.
struct HostView: Equatable {
    let routes, routes6, neighbours, addresses: String

    /// Whether its link-local address is there and nobody is asked any more who else has it.
    var isSettled: Bool { routes6.contains("local fe80::") && !addresses.contains("tentative") }

    init(_ device: String) throws {
        // Devices of other tests may be on their way out.
        func own(_ routes: String) -> String {
            routes.split(separator: "\n").filter { $0.contains(" dev \(device) ") || $0.contains("default") }.joined(separator: "\n")
        }
        routes = own(try run("ip", "-4", "route", "show", "table", "all"))
        routes6 = own(try run("ip", "-6", "route", "show", "table", "all"))
        // States pass by themselves; entries that nobody asked for do not come.
        neighbours = try run("ip", "neigh", "show", "dev", device).split(separator: "\n").filter { $0.contains("lladdr") }.joined()
        addresses = try run("ip", "-o", "addr", "show", "dev", device)
    }
}

/// A program of the host's on all addresses, for what comes in by one device.
final class UDPListener {
    private let descriptor: CInt

    init(port: UInt16, device: String) throws {
        descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var one: CInt = 1
        guard setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, device, socklen_t(device.utf8.count)) == 0 else {
            throw CallFailure("SO_BINDTODEVICE")
        }
        setsockopt(descriptor, SOL_SOCKET, SO_BROADCAST, &one, 4)
        try with("0.0.0.0", port) { guard bind(descriptor, $0, 16) == 0 else { throw CallFailure("bind") } }
    }

    deinit { close(descriptor) }

    private func with(_ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>) throws -> Void) throws {
        var name = sockaddr_in()
        name.sin_family = UInt16(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        try withUnsafePointer(to: &name) { try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { try body($0) } }
    }

    func send(to address: String, port: UInt16 = 9) throws {
        try with(address, port) { _ = sendto(descriptor, "host", 4, CInt(MSG_DONTWAIT), $0, 16) }
    }

    /// What comes within a twentieth of a second.
    func receive() -> [UInt8]? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 50) > 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 2_048)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count < 0 ? nil : Array(buffer.prefix(count))
    }
}

/// What a guest may send to change a host that listens, or to be answered.
enum HostileFrame {
    private static let guest = FrameBuilder.guest
    private static let all = [UInt8](repeating: 0xFF, count: 6)

    static func all(for mac: [UInt8]) -> [[UInt8]] {
        [
            udp(to: mac, destination: [198, 51, 100, 1]), udp(to: all, destination: [255, 255, 255, 255]),
            udp(to: all, destination: [198, 51, 100, 255]), udp(to: all, destination: [198, 51, 100, 1]),
            udp(to: [0x01, 0x00, 0x5E, 0, 0, 0xFB], destination: [224, 0, 0, 251], port: 5_353), arp(1, for: [198, 51, 100, 1], to: all),
            arp(2, for: [198, 51, 100, 1], to: mac), echo(to: mac), routerAdvertisement, neighbourSolicitation(for: mac),
        ]
    }

    private static func big(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    private static func ipv4(_ number: UInt8, _ destination: [UInt8], _ body: [UInt8]) -> [UInt8] {
        var header: [UInt8] = [0x45, 0] + big(20 + body.count) + [0, 1, 0, 0, 64, number, 0, 0, 198, 51, 100, 66] + destination
        header.replaceSubrange(10..<12, with: FrameBuilder.checksum(header))
        return header + body
    }

    static func udp(to mac: [UInt8], destination: [UInt8], port: Int = 5_000) -> [UInt8] {
        mac + guest + [8, 0] + ipv4(17, destination, big(4_000) + big(port) + big(26) + [0, 0] + [UInt8](repeating: 7, count: 18))
    }

    private static func echo(to mac: [UInt8]) -> [UInt8] {
        var icmp: [UInt8] = [8, 0, 0, 0, 0, 1, 0, 1] + [UInt8](repeating: 1, count: 16)
        icmp.replaceSubrange(2..<4, with: FrameBuilder.checksum(icmp))
        return mac + guest + [8, 0] + ipv4(1, [198, 51, 100, 1], icmp)
    }

    private static func arp(_ operation: UInt8, for address: [UInt8], to mac: [UInt8]) -> [UInt8] {
        mac + guest + [8, 6, 0, 1, 8, 0, 6, 4, 0, operation] + guest + [198, 51, 100, 66] + [UInt8](repeating: 0, count: 6) + address
    }

    private static func icmp6(_ mac: [UInt8], _ destination: [UInt8], _ message: [UInt8]) -> [UInt8] {
        let source: [UInt8] = [0xFE, 0x80] + [UInt8](repeating: 0, count: 12) + [0, 0x66]
        var message = message
        let sum = source + destination + [0, 0] + big(message.count) + [0, 0, 0, 58]
        message.replaceSubrange(2..<4, with: FrameBuilder.checksum(sum + message))
        return mac + guest + [0x86, 0xDD] + [0x60, 0, 0, 0] + big(message.count) + [58, 255] + source + destination + message
    }

    private static var routerAdvertisement: [UInt8] {
        let prefix: [UInt8] =
            [3, 4, 64, 0xC0, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0xFD, 0, 0, 0x66] + [UInt8](repeating: 0, count: 12)
        return icmp6(
            [0x33, 0x33, 0, 0, 0, 1], [0xFF, 2] + [UInt8](repeating: 0, count: 13) + [1],
            [134, 0, 0, 0, 64, 0, 255, 255] + [UInt8](repeating: 0, count: 8) + [1, 1] + guest + prefix)
    }

    private static func neighbourSolicitation(for mac: [UInt8]) -> [UInt8] {
        let address: [UInt8] = [0xFD, 0, 0, 0x51] + [UInt8](repeating: 0, count: 11) + [1]
        return icmp6(mac, address, [135, 0, 0, 0, 0, 0, 0, 0] + address + [1, 1] + guest)
    }
}
