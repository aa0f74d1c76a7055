// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// A private hypervisor (see scripts/lab): namespaces of its own, a bridge br0 with 192.0.2.1/24, a libvirtd.
///
/// It ends with `with`, and also when this process dies, since it watches a pipe that this process holds.
final class LabHost: Sendable {
    /// Its state and logs.
    let folder: String
    private let lifeline: Pipe

    /// Makes a host, runs the body, and ends the host in any case. If the body throws, the host's logs are printed.
    static func with<Result>(
        _ options: [String] = [], _ body: (LabHost) async throws -> Result
    ) async throws -> Result {
        let host = try await LabHost(options)
        do {
            let result = try await body(host)
            try await host.down()
            return result
        } catch {
            host.printLogs()
            try? await host.down()
            throw error
        }
    }

    private init(_ options: [String]) async throws {
        folder = (NSTemporaryDirectory() as NSString).appendingPathComponent("lab-\(UInt32.random(in: 0 ... .max))")
        lifeline = Pipe()
        _ = fcntl(lifeline.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
        let result = try await Command([Self.script, "up", folder, "--while-stdin"] + options)
            .run(standardInput: lifeline.fileHandleForReading.fileDescriptor)
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
    }

    /// Ends it and proves that it is gone. Doing it twice does no harm.
    func down() async throws {
        try await Command([Self.script, "down", folder]).succeed()
    }

    /// Lets go of the host as a test does that dies: it ends by itself, its folder stays until `down`.
    func abandon() throws {
        try lifeline.fileHandleForWriting.close()
    }

    /// Runs a command in the host; a command that fails is a result.
    func run(_ command: String..., input: Data = Data(), timeout: Duration = .seconds(30)) async throws -> CommandResult {
        try await run(command, input: input, timeout: timeout)
    }

    func run(_ command: [String], input: Data = Data(), timeout: Duration = .seconds(30)) async throws -> CommandResult {
        var run = Command([Self.script, "exec", folder, "--"] + command, timeout: timeout)
        run.input = input
        return try await run.run()
    }

    /// Runs a command in the host, which must succeed, and returns what it printed.
    @discardableResult
    func succeed(_ command: String..., timeout: Duration = .seconds(30)) async throws -> String {
        let result = try await run(command, timeout: timeout)
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        return result.text
    }

    @discardableResult
    func virsh(_ arguments: String...) async throws -> String {
        let result = try await run(["virsh", "-q"] + arguments)
        guard result.status == 0 else { throw CommandFailure(result: result, timeout: nil) }
        return result.text
    }

    /// Starts a program in the background; `label` (a-z, 0-9, -) names it and its log.
    func start(_ label: String, _ command: [String]) async throws {
        try await lab("start", label, "--", command)
    }

    /// Sends a signal to what `start` started and waits for its end.
    func stop(_ label: String, signal: String = "TERM") async throws {
        try await lab("stop", label, signal)
    }

    /// Sends a signal and does not wait.
    func signal(_ label: String, _ signal: Int32) async throws {
        guard let pid = try await pid(of: label), kill(pid, signal) == 0 else { throw POSIXError(.ESRCH) }
    }

    /// The process as seen from the test, or nil if it does not run.
    func pid(of label: String) async throws -> pid_t? {
        let result = try await Command([Self.script, "pid", folder, label]).run()
        return result.status == 0 ? pid_t(result.text) : nil
    }

    /// What a background program has printed so far, libvirtd's under "libvirtd".
    func log(_ label: String) -> String {
        (try? String(contentsOfFile: "\(folder)/\(label).log", encoding: .utf8)) ?? ""
    }

    /// start, stop, kill or restart. Guests go on without it.
    func libvirtd(_ action: String) async throws {
        try await lab("libvirtd", action)
    }

    /// libvirtd from now on as systemd's sockets run it: started by whoever connects, ended when idle for so many seconds.
    func activateLibvirtd(idle: Int) async throws {
        try await lab("libvirtd", "activate", String(idle))
    }

    /// The same file as the host's processes see it, which may be hidden from the test otherwise.
    func path(_ inside: String) throws -> String { try process() + "/root\(inside)" }

    /// The file of one of its namespaces, such as "net".
    func namespace(_ kind: String) throws -> String { try process() + "/ns/\(kind)" }

    /// Its first process.
    private func process() throws -> String {
        let line = try String(contentsOfFile: "\(folder)/host.pid", encoding: .utf8)
        return "/proc/\(line.prefix { $0 != " " })"
    }

    /// Writes a file in the host, its folder made if need be.
    func write(_ text: String, to inside: String, mode: Int = 0o644) throws {
        let path = try path(inside)
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    /// Defines a guest from scripts/lab's own domain XML and starts it.
    @discardableResult
    func guest(_ name: String, _ options: GuestOptions = GuestOptions()) async throws -> Guest {
        try await lab("guest", options.arguments, "--", name)
        return Guest(host: self, name: name)
    }

    /// This host's libvirt as virsh in another host names it.
    var uri: String {
        get async throws { try await lab("uri").text }
    }

    /// Joins this host with another by a veth pair.
    func link(_ device: String, to other: LabHost, _ otherDevice: String) async throws {
        try await lab("link", device, other.folder, otherDevice)
    }

    @discardableResult
    func lab(_ command: String, _ arguments: any LabArgument..., timeout: Duration = .seconds(90)) async throws -> CommandResult {
        try await Command([Self.script, command, folder] + arguments.flatMap(\.words), timeout: timeout).succeed()
    }

    private func printLogs() {
        for file in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where file.hasSuffix(".log") {
            let lines = log(String(file.dropLast(4))).split(separator: "\n").suffix(30)
            guard !lines.isEmpty else { continue }
            FileHandle.standardError.write(Data("--- \(file)\n\(lines.joined(separator: "\n"))\n".utf8))
        }
    }

    /// The project's folder.
    static let repository = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    static let script = repository + "/scripts/lab"
}

/// One word or several.
protocol LabArgument: Sendable {
    var words: [String] { get }
}

extension String: LabArgument {
    var words: [String] { [self] }
}

extension [String]: LabArgument {
    var words: [String] { self }
}
