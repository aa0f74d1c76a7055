// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import PackagePlugin

/// Compiles each bpf/*.bpf.c with the toolchain's clang and embeds the object in the target as Swift source.
///
/// BPFEmbed runs the compiler itself, in one command: an object file that left the plugin as an output of its own
/// would be taken for a resource, and its bundle needs all of Foundation.
@main
struct CompileBPF: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        let folder = context.package.directoryURL.appending(path: "bpf")
        // What the programs share with Swift.
        let include = context.package.directoryURL.appending(path: "Sources/C/CTapABI/include")
        let files = try [folder, include].flatMap { try FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil) }
        let clang = try context.tool(named: "clang").url.path(percentEncoded: false)
        let embed = try context.tool(named: "BPFEmbed").url
        return ["tap", "relay", "port"].map { name in
            let source = folder.appending(path: "\(name).bpf.c")
            let type = "\(name.capitalized)Object"
            let output = context.pluginWorkDirectoryURL.appending(path: "\(type).swift")
            return .buildCommand(
                displayName: "Compiling bpf/\(name).bpf.c", executable: embed,
                arguments: [clang, source.path(percentEncoded: false), include.path(percentEncoded: false), type]
                    + [output.path(percentEncoded: false)],
                inputFiles: files.filter { $0 == source || $0.pathExtension == "h" }.sorted { $0.path < $1.path },
                outputFiles: [output])
        }
    }
}
