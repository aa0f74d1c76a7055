// SPDX-License-Identifier: LGPL-2.1-or-later
import CLibvirt
public import TapModel

/// What `virt-tap doctor` reports about libvirt on this host.
public struct LibvirtReport: Sendable, Equatable {
    /// What libvirt's daemon says about itself.
    public struct Daemon: Sendable, Equatable {
        /// The URI that libvirt chose.
        public var uri: String
        /// The version of libvirt's daemon, such as `9.0.0`.
        public var libvirtVersion: String
        /// libvirt's name of the driver, such as `QEMU`.
        public var hypervisor: String
        /// The hypervisor's version, such as `7.2.22`; `nil` where the driver reports none.
        public var hypervisorVersion: String?
        /// How many domains libvirt knows.
        public var domains: Int
    }

    /// The version of the libvirt library that this program has loaded.
    public var libraryVersion: String
    /// What the daemon says over a read-only connection, or why there is none, in libvirt's own words.
    public var daemon: Result<Daemon, Failure>

    /// Opens a read-only connection, reads the report, and closes the connection. Takes a minute at most, when libvirt hangs.
    /// - Parameter uri: as for `virsh --connect`; `nil` for `LIBVIRT_DEFAULT_URI` or else `qemu:///system`.
    public static func read(uri: String?) async -> LibvirtReport {
        var version: UInt = 0
        virGetVersion(&version, nil, nil)
        let library = LibvirtConnection.text(ofVersion: version)
        do {
            return LibvirtReport(libraryVersion: library, daemon: .success(try await ask(uri)))
        } catch let error as LibvirtError {
            return LibvirtReport(libraryVersion: library, daemon: .failure(error.failure))
        } catch {
            return LibvirtReport(
                libraryVersion: library, daemon: .failure(Failure(.libvirtDisconnected, "the report on libvirt was cancelled: \(error)")))
        }
    }

    private static func ask(_ uri: String?) async throws -> Daemon {
        let connection = try await LibvirtConnection.opened(uri: uri, readOnly: true)
        defer { connection.close() }
        let (uri, version) = (connection.uri, connection.libvirtVersion)
        return try await connection.call("ask libvirt about this host") { pointer in
            guard let type = virConnectGetType(pointer) else { throw LibvirtError.last("ask libvirt for its driver") }
            var number: UInt = 0
            let hasVersion = virConnectGetVersion(pointer, &number) == 0 && number > 0
            return Daemon(
                uri: uri, libvirtVersion: version, hypervisor: String(cString: type),
                hypervisorVersion: hasVersion ? LibvirtConnection.text(ofVersion: number) : nil,
                domains: try DomainReader.names(pointer).count)
        }
    }
}
