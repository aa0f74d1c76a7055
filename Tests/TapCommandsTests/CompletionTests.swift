// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Foundation
import Glibc
import TapModel
import Testing

@testable import TapCommands

@Suite("What a shell offers")
struct CompletionTests {
    /// With a configuration that a line can name.
    private func withConfiguration(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "completion-\(UInt32.random(in: 0 ... .max)).xml"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let text =
            #"<virt-tap><destination name="span"><interface name="mon0"/></destination>"#
            + #"<destination name="ids"><interface name="mon1"/></destination></virt-tap>"#
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o644)
        try body(path)
    }

    @Test("Behind --to: the destinations of the configuration that the line names")
    func destinations() throws {
        try withConfiguration { path in
            for words in [
                ["--config", path], ["--config=\(path)"], ["--config-file", path], ["--config", "=", path], ["--config", "'\(path)'"],
            ] {
                let line = CommandWords(["virt-tap", "set", "web1"] + words + ["--to", ""])
                #expect(Set(NameCompletion.destinations(line)) == ["span", "ids"], "\(words)")
            }
            // The configuration is that of this host.
            let far = ["virt-tap", "set", "web1", "--config", path, "--connect", "qemu+ssh://hv2/system", "--to", ""]
            #expect(NameCompletion.destinations(CommandWords(far)).isEmpty)
        }
        #expect(NameCompletion.destinations(CommandWords(["virt-tap", "set", "--config", "/nowhere/x.xml", "--to", ""])).isEmpty)
    }

    @Test(
        "Which words are operands",
        arguments: [["web1", "ids"], ["--config", "web1", "ids"], ["--connect", "x:///y", "web1", "--live", "ids"]])
    func operands(words: [String]) {
        #expect(CommandWords(["virt-tap", "unset"] + words).operands == ["web1", "ids"])
        #expect(CommandWords(["virt-tap", "unset"] + words, completing: words.count + 1).operands == ["web1"])
    }

    @Test("Taps of the domain that the line names, and not those that it names already")
    func taps() {
        let document = Samples.document([
            Samples.tap("web1", name: "span"), Samples.tap("web1", name: "ids"), Samples.tap("web1", name: "ids", running: false),
            Samples.tap("web2", uuid: Samples.otherUUID, name: "other"),
        ])
        #expect(NameCompletion.names(in: document, of: "web1", without: []) == ["ids", "span"])
        #expect(NameCompletion.names(in: document, of: "web1", without: ["ids"]) == ["span"])
        #expect(NameCompletion.names(in: document, of: "web2", without: []) == ["other"])
        #expect(NameCompletion.names(in: document, of: "nope", without: []).isEmpty)
    }

    @Test("Without a daemon nothing is offered, at once")
    func silent() {
        let start = ContinuousClock.now
        #expect(NameCompletion.taps(CommandWords(["virt-tap", "unset", "--runtime-dir", "/nowhere/run", "web1", ""])).isEmpty)
        #expect(ContinuousClock.now - start < .milliseconds(400))
    }

    @Test("The scripts of all shells call for both")
    func scripts() {
        for shell in [CompletionShell.bash, .zsh, .fish] {
            let script = VirtTap.completionScript(for: shell)
            for text in ["---completion", "--to", "unset"] { #expect(script.contains(text), "\(shell.rawValue): \(text)") }
        }
        // Also behind `list`.
        #expect(VirtTap.completionScript(for: .bash).components(separatedBy: "virsh list --all --name").count > 5)
        let bash = VirtTap.completionScript(for: .bash)
        #expect(bash.contains("---completion set -- --to") && bash.contains("---completion unset -- "))
    }
}
