// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import PackagePlugin

/// Compiles bpf/tap.bpf.c with the toolchain's clang and embeds the object in the target as Swift source.
///
/// BPFEmbed runs the compiler itself, in one command: an object file that left the plugin as an output of its own
/// would be taken for a resource, and its bundle needs all of Foundation.
@main
struct CompileBPF: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        let folder = context.package.directoryURL.appending(path: "bpf")
        let output = context.pluginWorkDirectoryURL.appending(path: "TapObject.swift")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return [
            .buildCommand(
                displayName: "Compiling bpf/tap.bpf.c",
                executable: try context.tool(named: "BPFEmbed").url,
                arguments: [
                    try context.tool(named: "clang").url.path(percentEncoded: false),
                    folder.appending(path: "tap.bpf.c").path(percentEncoded: false),
                    output.path(percentEncoded: false),
                ],
                inputFiles: files.filter { ["c", "h"].contains($0.pathExtension) }.sorted { $0.path < $1.path },
                outputFiles: [output])
        ]
    }
}
