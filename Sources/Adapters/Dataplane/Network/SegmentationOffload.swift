// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibmnl
import Glibc

/// Whether a device accepts GSO packets, or has the kernel segment them first (ethtool -k: tcp-segmentation-offload).
enum SegmentationOffload {
    /// Reads it for a device of this network namespace. Needs no privileges.
    /// - Returns: true also where it cannot be read, as for a device that is gone.
    static func isOn(_ ifindex: UInt32) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        var request = ifreq()
        guard withUnsafeMutableBytes(of: &request.ifr_ifrn, { if_indextoname(ifindex, $0.bindMemory(to: CChar.self).baseAddress!) }) != nil
        else { return true }
        var value = ethtool_value(cmd: UInt32(ETHTOOL_GTSO), data: 1)
        return withUnsafeMutablePointer(to: &value) { value in
            request.ifr_ifru.ifru_data = UnsafeMutableRawPointer(value).assumingMemoryBound(to: CChar.self)
            guard ioctl(descriptor, UInt(SIOCETHTOOL), &request) == 0 else { return true }
            return value.pointee.data != 0
        }
    }
}
