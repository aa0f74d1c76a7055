// SPDX-License-Identifier: LGPL-2.1-or-later

/// Makes two forms of the command line plain that the parser cannot tell apart by itself.
enum ArgumentNormaliser {
    /// - `--watch` takes its value only behind `=`: what follows it is a domain.
    /// - With `set` and `unset`, `--config` alone means the persistent definition, as in virsh, while `--config=FILE` and
    ///   `--config FILE`, with a slash in it, mean the host's configuration as everywhere else. libvirt allows no slash
    ///   in a domain's name.
    static func normalised(_ arguments: [String]) -> [String] {
        let options = Array(arguments.prefix { $0 != "--" })
        let rest = arguments.dropFirst(options.count)
        let isEdit = options.first == "set" || options.first == "unset"
        let plain = options.enumerated().map { index, argument in
            if argument == "--watch" { return "--watch=\(WatchInterval.standard)" }
            guard isEdit else { return argument }
            if argument.hasPrefix("--config=") { return "--config-file=" + argument.dropFirst("--config=".count) }
            if argument == "--config", index + 1 < options.count, options[index + 1].contains("/") { return "--config-file" }
            return argument
        }
        return plain + rest
    }

    /// An option of `set` that stands there twice where a tap has one value. The parser would take the last.
    static func repeated(_ arguments: [String]) -> String? {
        guard arguments.first == "set" else { return nil }
        let options = arguments.prefix { $0 != "--" }
        return TapOptions.single.first { name in options.count { $0 == name || $0.hasPrefix(name + "=") } > 1 }
    }
}
