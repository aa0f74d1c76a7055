// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TestSupport

/// hooks/qemu as `make install` writes it, with a shell script in place of the binary, in a folder of its own.
struct InstalledHook: Sendable {
    let folder: String
    private var path: String { folder + "/virt-tap-hook" }

    /// The hook as `make install` writes it, for a binary at `placeholder`.
    private static let installed = Task<String, any Error> {
        let folder = (NSTemporaryDirectory() as NSString).appendingPathComponent("hook-\(UInt32.random(in: 0 ... .max))")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await Command(["make", "-s", "-C", LabHost.repository, "install-data", "DESTDIR=\(folder)", "BINDIR=\(placeholder)"]).succeed()
        return try String(contentsOfFile: folder + "/etc/libvirt/hooks/qemu.d/virt-tap", encoding: .utf8)
    }
    private static let placeholder = "/binaries-of-the-test"

    /// `program` is what the binary does; it runs in the folder.
    static func with(_ program: String, _ body: (InstalledHook) async throws -> Void) async throws {
        let folder = (NSTemporaryDirectory() as NSString).appendingPathComponent("hook-\(UInt32.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let hook = InstalledHook(folder: folder)
        try await hook.write(installed.value.replacingOccurrences(of: placeholder, with: folder), to: hook.path)
        // Not where the hook of a hypervisor in use would look.
        try await hook.replace("memory=/run/virt-tap", "memory=\(folder)/memory")
        try await hook.write("#!/bin/sh\ncd '\(folder)' || exit 99\n\(program)\n", to: folder + "/virt-tap")
        try await body(hook)
    }

    func call(_ arguments: [String], input: String = "", environment: [String: String] = [:]) async throws -> CommandResult {
        var command = Command([path] + arguments, timeout: .seconds(30))
        command.input = Data(input.utf8)
        command.environment = environment
        return try await command.run()
    }

    /// Command lines of the hook's and the binary's living processes.
    var processes: [String] {
        let ids = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return ids.filter { Int($0) != nil }.compactMap { try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8) }
            .filter { $0.contains(folder) }
    }

    func shell(_ command: String) async throws {
        try await Command(["/bin/sh", "-ec", "cd '\(folder)'; \(command)"]).succeed()
    }

    /// Changes the installed script, whose text must have this in it.
    func replace(_ old: String, _ new: String) async throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        guard text.contains(old) else { throw NeverHappened(description: "'\(old)' in the hook") }
        try await write(text.replacingOccurrences(of: old, with: new), to: path)
    }

    /// Writes a program, by a process of its own: while this one had it open for writing, a child that another test starts at that
    /// moment would have it open, too, and nobody could execute it (ETXTBSY).
    private func write(_ program: String, to path: String) async throws {
        var writing = Command(["/bin/sh", "-ec", "cat >\"$0\"; chmod 755 \"$0\"", path])
        writing.input = Data(program.utf8)
        try await writing.succeed()
    }

    /// The installed script.
    func script() throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }

    func file(_ name: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
    }

    func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder)/\(name)")
    }
}
