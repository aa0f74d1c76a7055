// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// Runs a command and waits for it; its standard output.
/// - Throws: `CommandFailure` when it exits otherwise than with 0.
@discardableResult
public func run(_ words: String..., input: String? = nil) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: try executable(words[0]))
    process.arguments = Array(words.dropFirst())
    let output = Pipe()
    let errors = Pipe()
    process.standardOutput = output
    process.standardError = errors
    if let input {
        let pipe = Pipe()
        process.standardInput = pipe
        try process.run()
        pipe.fileHandleForWriting.write(Data(input.utf8))
        try pipe.fileHandleForWriting.close()
    } else {
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw CommandFailure(
            description: "\(words.joined(separator: " ")) (\(input ?? "")): exit \(process.terminationStatus): \(complaint)")
    }
    return text
}

/// Not by env(1): under an emulated processor a tenth of the tests' time went into starting that.
private func executable(_ name: String) throws -> String {
    if name.contains("/") { return name }
    let folders = ProcessInfo.processInfo.environment["PATH", default: "/usr/sbin:/usr/bin:/sbin:/bin"].split(separator: ":")
    let path = folders.lazy.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    guard let path else { throw CommandFailure(description: "there is no program \(name) in \(folders.joined(separator: ":"))") }
    return path
}

public struct CommandFailure: Error, CustomStringConvertible {
    public var description: String
}

/// Runs several commands of ip(8) at once, one per line.
public func ip(_ lines: String) throws {
    try run("ip", "-batch", "-", input: lines)
}
