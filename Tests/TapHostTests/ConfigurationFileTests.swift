// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import TapHost
import TapModel
import Testing

@Suite("The configuration file")
struct ConfigurationFileTests {
    private static let valid = "<virt-tap><destination name=\"span\"><interface name=\"mon0\"/></destination></virt-tap>"

    /// Writes a file, loads it, removes it.
    private func load(_ text: String, mode: Int = 0o644) throws -> Result<HostConfiguration, ConfigurationFileError> {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("virt-tap-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("config.xml")
        try Data(text.utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
        return Result { () throws(ConfigurationFileError) in try ConfigurationFile(path: file.path).load() }
    }

    @Test func noFileMeansTheDefaults() throws {
        #expect(try ConfigurationFile(path: "/nonexistent/config.xml").load() == HostConfiguration())
    }

    @Test func readsWhatIsThere() throws {
        #expect(try load(Self.valid).get().destinations.map(\.name.text) == ["span"])
    }

    @Test(arguments: [0o664, 0o646, 0o666]) func whatOthersCanWriteIsRefused(_ mode: Int) throws {
        let result = try load(Self.valid, mode: mode)
        guard case .failure(let error) = result else { Issue.record("accepted"); return }
        #expect(error.description.contains("can be written by its group or by others"))
    }

    @Test func errorsHaveFileAndLine() throws {
        guard case .failure(let error) = try load("<virt-tap>\n\n  <marc value=\"1\"/>\n</virt-tap>") else {
            Issue.record("accepted"); return
        }
        #expect(error.lines.count == 1)
        #expect(error.lines[0].contains("/config.xml:3: "))
        #expect(error.lines[0].contains("mark"))
    }

    @Test func anEmptyFileIsAnError() throws {
        guard case .failure = try load("") else { Issue.record("accepted"); return }
    }

    @Test func onlyRegularFilesAreRead() throws {
        for path in ["/dev/null", "/tmp", "/dev/zero"] {
            #expect(throws: ConfigurationFileError.self) { try ConfigurationFile(path: path).load() }
        }
    }

    @Test func theHostHasANameAndAKernel() {
        #expect(!HostIdentity.name.isEmpty)
        #expect(HostIdentity.kernel.contains("."))
    }
}
