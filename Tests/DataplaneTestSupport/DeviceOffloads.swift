// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// Turns a device's offloads off, as ethtool(8) does. The device is then like a network adapter without them.
public enum DeviceOffloads {
    /// Turns the offloads off: the kernel then segments GSO packets and fills in checksums before the device gets a frame.
    public static func end(on device: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw CallFailure("socket") }
        defer { close(descriptor) }
        for command in [ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SSG, ETHTOOL_STXCSUM] {
            var value = ethtool_value(cmd: UInt32(command), data: 0)
            let result = withUnsafeMutablePointer(to: &value) { value in
                var request = ifreq()
                withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: device.utf8.prefix(15)) }
                request.ifr_ifru.ifru_data = UnsafeMutableRawPointer(value).assumingMemoryBound(to: CChar.self)
                return ioctl(descriptor, UInt(SIOCETHTOOL), &request)
            }
            guard result == 0 else { throw CallFailure("SIOCETHTOOL \(device)") }
        }
    }
}
