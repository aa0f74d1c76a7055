// SPDX-License-Identifier: LGPL-2.1-or-later
import Foundation
import Synchronization

/// A real libvirtd with the QEMU driver in mount, network, UTS and PID namespaces of its own, reached through a socket in a
/// temporary directory. It takes nothing from a libvirtd of the host and leaves nothing behind: when this process ends,
/// however it does, the first process of the PID namespace ends, and with it all others.
final class PrivateLibvirtd: Sendable {
    struct Broken: Error, CustomStringConvertible {
        var description: String
    }

    /// What keeps it from running here; `nil` when nothing does.
    static var obstacle: String? {
        if geteuid() != 0 { return "needs root" }
        for program in ["/usr/sbin/libvirtd", "/usr/bin/unshare", "/usr/bin/qemu-system-x86_64"]
        where access(program, X_OK) != 0 { return "\(program) is missing" }
        return nil
    }

    /// Without it a test is passed over, but not where all tests have to run.
    static var isToBeTried: Bool { obstacle == nil || ProcessInfo.processInfo.environment["CI"] == "true" }

    let directory: String
    private let shell: Mutex<Shell>

    private struct Shell: Sendable {
        let process: Process
        let commands: Pipe
    }

    var readOnlyURI: String { "qemu+unix:///system?socket=\(directory)/run/libvirt/libvirt-sock-ro" }
    var uri: String { "qemu+unix:///system?socket=\(directory)/run/libvirt/libvirt-sock" }

    /// Makes the namespaces; libvirtd itself is started by `start()`.
    init() throws {
        if let obstacle = Self.obstacle { throw Broken(description: obstacle) }
        directory = "/tmp/virt-tap-libvirtd-\(UUID().uuidString.prefix(8))"
        let files = FileManager.default
        for name in ["run", "etc", "lib", "log", "cache"] {
            try files.createDirectory(atPath: "\(directory)/\(name)", withIntermediateDirectories: true)
        }
        let qemu = """
            user = "root"
            group = "root"
            security_driver = "none"
            remember_owner = 0
            namespaces = []
            cgroup_controllers = []
            stdio_handler = "file"
            """
        try qemu.write(toFile: "\(directory)/etc/qemu.conf", atomically: true, encoding: .utf8)
        let daemon = """
            auth_unix_ro = "none"
            auth_unix_rw = "none"
            """
        try daemon.write(toFile: "\(directory)/etc/libvirtd.conf", atomically: true, encoding: .utf8)

        // The shell is process 1 of its namespace: the end of its input ends it, and the kernel then ends what is left. It is
        // bash since it reaps what libvirtd leaves to it; a guest that stays a zombie stays running in libvirt's eyes.
        let script = """
            set -e
            mount --bind \(directory)/run /run
            # What Debian's libvirt-daemon-system makes: it is not wanted here, since it starts a libvirtd.
            cp /etc/passwd \(directory)/passwd
            cp /etc/group \(directory)/group
            getent group kvm >/dev/null || echo kvm:x:64054: >>\(directory)/group
            getent group libvirt-qemu >/dev/null || echo libvirt-qemu:x:64055: >>\(directory)/group
            getent passwd libvirt-qemu >/dev/null ||
                echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin >>\(directory)/passwd
            mount --bind \(directory)/passwd /etc/passwd
            mount --bind \(directory)/group /etc/group
            for area in lib log cache; do
                mount -t tmpfs -o mode=755 tmpfs /var/$area
                mkdir /var/$area/libvirt
            done
            mount --bind \(directory)/etc /etc/libvirt
            mount --bind \(directory)/lib /var/lib/libvirt
            mount --bind \(directory)/log /var/log/libvirt
            mount --bind \(directory)/cache /var/cache/libvirt
            mount -t sysfs sysfs /sys
            hostname virt-tap-test
            ip link set lo up
            set +e
            while read -r command; do
                case $command in
                start)
                    rm -f /run/libvirtd.pid
                    libvirtd --config /etc/libvirt/libvirtd.conf >/var/log/libvirt/libvirtd.log 2>&1 & daemon=$! ;;
                kill) kill -KILL $daemon; wait $daemon ;;
                pause) kill -STOP $daemon ;;
                resume) kill -CONT $daemon ;;
                esac
            done
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
        process.arguments = [
            "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/bash", "-c", script,
        ]
        let commands = Pipe()
        process.standardInput = commands
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        shell = Mutex(Shell(process: process, commands: commands))
    }

    /// Starts libvirtd; a connection succeeds some tenths of a second later.
    func start() throws { try tell("start") }
    /// Kills libvirtd as `kill -9` does; guests stay.
    func kill() throws { try tell("kill") }
    /// Makes libvirtd hang.
    func pause() throws { try tell("pause") }
    func resume() throws { try tell("resume") }

    /// What libvirtd has logged, for the message of a test that fails.
    var log: String { (try? String(contentsOfFile: "\(directory)/log/libvirtd.log", encoding: .utf8)) ?? "" }

    /// Installs a qemu hook script; libvirtd sees it at its next start.
    func installHook(_ script: String) throws {
        try FileManager.default.createDirectory(atPath: "\(directory)/etc/hooks", withIntermediateDirectories: true)
        let path = "\(directory)/etc/hooks/qemu"
        try script.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    }

    /// Ends everything and removes the directory.
    func remove() {
        shell.withLock { shell in
            try? shell.commands.fileHandleForWriting.close()
            shell.process.waitUntilExit()
        }
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func tell(_ command: String) throws {
        try shell.withLock { try $0.commands.fileHandleForWriting.write(contentsOf: Data("\(command)\n".utf8)) }
    }
}
