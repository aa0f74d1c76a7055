// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapModel
import Testing

@testable import TapCommands

@Suite("The command line")
struct ArgumentTests {
    private func parse<Command: ParsableCommand>(_ arguments: [String], as type: Command.Type = Command.self) throws -> Command {
        let parsed = try VirtTap.parseAsRoot(ArgumentNormaliser.normalised(arguments))
        return try #require(parsed as? Command, "\(Swift.type(of: parsed))")
    }

    @Test("--watch takes a number behind it, with or without =, and no domain")
    func watch() throws {
        for seconds in [["--watch", "5"], ["--watch=5"]] {
            let every: StatusCommand = try parse(["status"] + seconds + ["web1"])
            #expect(every.watch?.seconds == 5 && every.domains == ["web1"])
        }
        for domain in [["5", "--watch"], ["--watch", "--", "5"], ["--watch=2", "5"]] {
            let named: StatusCommand = try parse(["status"] + domain)
            #expect(named.watch?.seconds == 2 && named.domains == ["5"], "\(domain)")
        }
        let like: StatusCommand = try parse(["status", "--watch", "5th"])
        #expect(like.watch?.seconds == 2 && like.domains == ["5th"])
        let plain: StatusCommand = try parse(["status", "--watch", "web1"])
        #expect(plain.watch?.seconds == 2 && plain.domains == ["web1"])
        let valued: StatusCommand = try parse(["status", "--watch=7", "web1"])
        #expect(valued.watch?.seconds == 7 && valued.domains == ["web1"])
        let domain: StatusCommand = try parse(["status", "--", "--watch", "--help", "-x"])
        #expect(domain.watch == nil && domain.domains == ["--watch", "--help", "-x"])
    }

    @Test("list is told to be used as list")
    func listUsage() {
        let (list, status) = (VirtTap.usageString(for: ListCommand.self), VirtTap.usageString(for: StatusCommand.self))
        #expect(list.hasPrefix("virt-tap list [--all] "))
        #expect(list.dropFirst("virt-tap list".count) == status.dropFirst("virt-tap status".count))
    }

    @Test("Every subcommand takes the four path options", arguments: ["status", "check", "doctor", "reload", "purge"])
    func paths(name: String) throws {
        let arguments = [name, "--connect", "test:///default", "--config", "/c", "--runtime-dir", "/r", "--bpffs", "/b"]
        let command = try VirtTap.parseAsRoot(ArgumentNormaliser.normalised(arguments))
        let groups = Mirror(reflecting: command).children.compactMap { $0.value as? OptionGroup<PathOptions> }
        let paths = try #require(groups.first).wrappedValue
        #expect(paths.connect == "test:///default" && paths.config == "/c" && paths.runtimeDir == "/r" && paths.bpffs == "/b")
    }

    @Test("set: --config is the persistent definition, with a path the configuration")
    func setConfig() throws {
        let flag: SetCommand = try parse(["set", "web1", "--to", "ids", "--config", "--connect", "x:///y"])
        #expect(flag.options.choices == [.config] && flag.options.configFile == "/etc/virt-tap/config.xml" && flag.domain == "web1")
        let path: SetCommand = try parse(["set", "--config", "/c", "web1", "--to", "ids"])
        #expect(path.options.choices.isEmpty && path.options.configFile == "/c" && path.domain == "web1")
        let both: SetCommand = try parse(["set", "--config=c.xml", "--live", "--config", "web1", "--to", "ids"])
        #expect(both.options.choices == [.config, .live] && both.options.configFile == "c.xml" && both.domain == "web1")
        let hostile: UnsetCommand = try parse(["unset", "--all", "--config", "--", "--config=/x"])
        #expect(hostile.domain == "--config=/x" && hostile.options.choices == [.config])
    }

    @Test("hook takes what libvirt gives, whatever the guest is called")
    func hook() throws {
        let command: HookCommand = try parse(["hook", "--runtime-dir", "/r", "--", "--help", "start", "begin", "-"])
        #expect(command.call == ["--help", "start", "begin", "-"] && command.paths.runtimeDir == "/r")
        let later: HookCommand = try parse(["hook", "--", "--", "start", "begin", "-", "more", "--and=more"])
        #expect(later.call.prefix(2) == ["--", "start"])
    }

    @Test(
        "Wrong usage is 64",
        arguments: [
            ["bogus"], ["status", "--watch=0"], ["status", "--watch=x"], ["status", "--watch", "0"], ["status", "--watch", "--check"],
            ["unset", "web1"],
            ["unset", "web1", "a", "--all"], ["set"], ["hook", "--", "guest"], ["status", "--nope"],
            ["set", "web1", "--enabled", "--disabled"],
        ])
    func usage(arguments: [String]) {
        #expect {
            _ = try VirtTap.parseAsRoot(ArgumentNormaliser.normalised(arguments))
        } throws: {
            VirtTap.exitCode(for: $0).rawValue == CommandFailure.Code.usage.rawValue
        }
    }

    @Test("A subcommand that is not there is 64 and names the nearest; so is one that help is asked about")
    func subcommand() {
        for arguments in [["stauts"], ["help", "stauts"]] {
            #expect(VirtTap.misuse(arguments) == CommandFailure(.usage, "unknown subcommand \"stauts\"; did you mean status?"))
        }
        #expect(VirtTap.misuse(["help", "nope"])?.code == .usage)
        for arguments in [[], ["help"], ["help", "set"], ["status", "stauts"], ["--help"], ["--generate-completion-script", "bash"]] {
            #expect(VirtTap.misuse(arguments) == nil)
        }
    }

    @Test("list is status")
    func list() throws {
        let command: ListCommand = try parse(["list", "--all", "--watch", "5", "web1"])
        #expect(command.status.all && command.status.domains == ["web1"] && command.status.watch?.seconds == 5)
        #expect(throws: (any Error).self) { try VirtTap.parseAsRoot(["list", "--watch=0"]) }
        #expect(VirtTap.misuse(["list"]) == nil)
        #expect(VirtTap.misuse(["lsit"])?.lines == ["unknown subcommand \"lsit\"; did you mean list?"])
    }

    @Test("Help names what a command does before where things are", arguments: ["status", "check", "purge", "test", "set", "unset"])
    func help(name: String) throws {
        let command = try #require(VirtTap.configuration.subcommands.first { $0.configuration.commandName == name })
        let help = VirtTap.helpMessage(for: command, columns: 200)
        let options = help.split(separator: "\n").filter { $0.hasPrefix("  --") }.map { $0.split(separator: " ")[0] }
        let places = try ["--connect", "--runtime-dir", "--bpffs"].map { try #require(options.firstIndex(of: Substring($0))) }
        let file = try #require(options.firstIndex(of: "--config-file") ?? options.lastIndex(of: "--config"))
        // Behind them stands --version, of all commands.
        #expect(Set(places + [file]) == Set((options.count - 5)..<(options.count - 1)), "\(options)")
    }

    @Test("An option that a tap has once is given once")
    func repeated() {
        #expect(VirtTap.misuse(["set", "web1", "--to", "a", "--to=b"])?.code == .usage)
        #expect(VirtTap.misuse(["set", "web1", "--to", "a", "--interface", "x", "--interface", "y", "--", "--to"]) == nil)
    }

    @Test("All subcommands of the contract are there, and completions can be made")
    func subcommands() {
        let help = VirtTap.helpMessage()
        for name in ["status", "list", "check", "set", "unset", "doctor", "reload", "purge", "test", "hook"] {
            #expect(help.contains("\n  \(name) "))
        }
        let script = VirtTap.completionScript(for: .bash)
        for text in ["purge", "outbound", "virsh list --all --name"] { #expect(script.contains(text)) }
    }

    @Test(
        "Whose configuration counts",
        arguments: zip(
            [nil, "qemu:///system", "qemu+unix:///system?socket=/x", "qemu+ssh://hv2/system", "test:///default"],
            [true, true, true, false, true]))
    func local(uri: String?, isLocal: Bool) {
        #expect(EditOptions.isLocal(uri) == isLocal)
    }
}
