// SPDX-License-Identifier: LGPL-2.1-or-later

import FoundationEssentials
import Glibc
import TapSystem

/// Where things are, unless an option says otherwise.
public enum HostPaths {
    public static let configuration = "/etc/virt-tap/config.xml"
    /// Of the sockets and the lock.
    public static let runtimeDirectory = "/run/virt-tap"
    /// The BPF file system that holds the pins.
    public static let bpffs = "/sys/fs/bpf"
}

/// The script that libvirt calls at every operation on a domain.
public enum HookInstallation {
    /// Where `make install` puts it and libvirt (6.5 and later) looks for it.
    public static let path = "/etc/libvirt/hooks/qemu.d/virt-tap"

    /// Whether it is there and libvirt would run it.
    public static func isInstalled() -> Bool { access(path, X_OK) == 0 }

    /// Whether virt-tap did not end in time when the script called it, less than five minutes ago: the script writes down until when it
    /// remembers that, in seconds since the boot. `false` also for whoever may not read that.
    /// - Parameter directory: the daemon's runtime directory.
    public static func hasTimedOut(in directory: String) -> Bool {
        guard let text = try? String(contentsOfFile: "\(directory)/hook-timed-out", encoding: .utf8),
            let until = Int64(text.prefix { $0.isNumber })
        else { return false }
        return until > KernelClock.nanoseconds(CLOCK_BOOTTIME) / 1_000_000_000
    }
}

/// The pages that are installed with the programs.
public enum Documentation {
    /// Where a package puts them.
    static let standard = "/usr/share/doc/virt-tap/docs"

    /// A page's path: beside the program that runs, as `make install` puts both below one PREFIX, else where a package has it.
    public static func path(_ page: String) -> String {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return path(page, of: program) { FileManager.default.fileExists(atPath: $0) }
    }

    static func path(_ page: String, of program: String, exists: (String) -> Bool) -> String {
        // PREFIX/bin/virt-tap.
        let prefix = program.split(separator: "/").dropLast(2).map { "/\($0)" }.joined()
        let own = "\(prefix)/share/doc/virt-tap/docs/\(page)"
        return exists(own) ? own : "\(standard)/\(page)"
    }
}

/// What this machine is called and runs.
public enum HostIdentity {
    /// The node name, as uname(2) has it.
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
