// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import Glibc
import TapSystem

/// The default paths on a host, unless an option says otherwise.
public enum HostPaths {
    /// The configuration file.
    public static let configuration = "/etc/virt-tap/config.xml"
    /// The directory of the control sockets and the daemon's lock.
    public static let runtimeDirectory = "/run/virt-tap"
    /// The BPF file system that holds the pins.
    public static let bpffs = "/sys/fs/bpf"
}

/// The hook script, which libvirt calls at every operation on a domain.
public enum HookInstallation {
    /// Where `make install` puts the script and libvirt (6.5 and later) finds it.
    public static let path = "/etc/libvirt/hooks/qemu.d/virt-tap"

    /// Reads whether the script exists and is executable, so that libvirt runs it.
    public static func isInstalled() -> Bool { access(path, X_OK) == 0 }

    /// Reads whether a call of virt-tap by the script timed out in the last five minutes. The script writes to a file until when that
    /// counts, in seconds since boot. `false` also for users who may not read the file.
    /// - Parameter directory: the daemon's runtime directory.
    public static func hasTimedOut(in directory: String) -> Bool {
        guard let text = try? String(contentsOfFile: "\(directory)/hook-timed-out", encoding: .utf8),
            let until = Int64(text.prefix { $0.isNumber })
        else { return false }
        return until > KernelClock.nanoseconds(CLOCK_BOOTTIME) / 1_000_000_000
    }
}

/// The pages of documentation that are installed with the programs.
public enum Documentation {
    /// Where a package installs them.
    static let standard = "/usr/share/doc/virt-tap/docs"

    /// Returns a page's path: below the PREFIX of the running program, as `make install` arranges, if the page exists there; else where a
    /// package installs it.
    public static func path(_ page: String) -> String {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return path(page, of: program) { FileManager.default.fileExists(atPath: $0) }
    }

    static func path(_ page: String, of program: String, exists: (String) -> Bool) -> String {
        // The program is PREFIX/bin/virt-tap.
        let prefix = program.split(separator: "/").dropLast(2).map { "/\($0)" }.joined()
        let own = "\(prefix)/share/doc/virt-tap/docs/\(page)"
        return exists(own) ? own : "\(standard)/\(page)"
    }
}

/// This machine's name and kernel.
public enum HostIdentity {
    /// The node name of uname(2).
    public static var name: String { field(\.nodename) }

    /// The kernel's release, such as `6.18.44`.
    public static var kernel: String { field(\.release) }

    private static func field<Characters>(_ path: KeyPath<utsname, Characters>) -> String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        return withUnsafeBytes(of: names[keyPath: path]) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
