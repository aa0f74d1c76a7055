// SPDX-License-Identifier: LGPL-2.1-or-later

import Glibc
public import TapModel
import TapSystem
import TapXML

/// Reads the host's configuration from its file.
public struct ConfigurationFile: Sendable {
    /// Bytes. The parser has a limit of its own; this one keeps a huge file out of memory.
    static let maximumSize = 4 << 20

    public var path: String

    public init(path: String) { self.path = path }

    /// Reads the configuration in force: the file's, or the defaults where there is no file.
    ///
    /// The file decides what programs of root copy and where to, so a file that somebody else can change is refused.
    /// - Parameter mustExist: whether a missing file is an error; else it means the defaults.
    /// - Throws: `ConfigurationFileError`.
    public func load(mustExist: Bool = false) throws(ConfigurationFileError) -> HostConfiguration {
        guard let bytes = try read() else {
            if mustExist { throw failure("does not exist; for the defaults write <virt-tap/> to it") }
            return HostConfiguration()
        }
        return try parse(bytes)
    }

    /// Reads whether the file exists.
    public func exists() -> Bool { access(path, F_OK) == 0 }

    private func parse(_ bytes: [UInt8]) throws(ConfigurationFileError) -> HostConfiguration {
        do {
            return try ConfigurationXML.parse(bytes)
        } catch {
            throw ConfigurationFileError(
                path: path, lines: error.diagnostics.map { "\(path):" + ($0.line.map { "\($0):" } ?? "") + " \($0.withoutLine)" })
        }
    }

    /// Reads the file's bytes; `nil` when there is no file.
    private func read() throws(ConfigurationFileError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("cannot be opened: \(ErrorText.of(errno))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("cannot be read: \(ErrorText.of(errno))") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("is not a regular file; replace it by one") }
        guard status.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
            throw failure("can be written by its group or by others, so it is not trusted; run `chmod go-w`")
        }
        guard status.st_uid == 0 || status.st_uid == geteuid() else {
            throw failure("belongs to user \(status.st_uid), so it is not trusted; run `chown root`")
        }
        guard status.st_size <= Self.maximumSize else {
            throw failure("has \(status.st_size) bytes; at most \(Self.maximumSize) are read")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + filled, $0.count - filled) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot be read: \(ErrorText.of(errno))") }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes[..<filled])
    }

    private func failure(_ what: String) -> ConfigurationFileError {
        ConfigurationFileError(path: path, lines: ["\(path): \(what)"])
    }
}

/// Why a configuration file is not used: everything that is wrong with it, one line per problem.
public struct ConfigurationFileError: Error, Equatable, Sendable {
    public var path: String
    /// Such as `/etc/virt-tap/config.xml:7: …`.
    public var lines: [String]

    public init(path: String, lines: [String]) {
        self.path = path
        self.lines = lines
    }
}

extension ConfigurationFileError: CustomStringConvertible {
    public var description: String { lines.joined(separator: "\n") }
}
