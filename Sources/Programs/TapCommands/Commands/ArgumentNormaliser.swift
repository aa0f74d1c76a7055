// SPDX-License-Identifier: LGPL-2.1-or-later

/// Makes two forms of the command line plain that the parser cannot tell apart by itself.
enum ArgumentNormaliser {
    /// - `--watch` takes a number that follows it, with or without `=`. Whatever else follows is a domain; so is a number before it or
    ///   behind `--`.
    /// - With `set` and `unset`, `--config` alone means the persistent definition, as in virsh, while `--config=FILE` and
    ///   `--config FILE`, with a slash in it, mean the host's configuration as everywhere else. libvirt allows no slash
    ///   in a domain's name.
    static func normalised(_ arguments: [String]) -> [String] {
        let options = Array(arguments.prefix { $0 != "--" })
        let rest = arguments.dropFirst(options.count)
        let isEdit = options.first == "set" || options.first == "unset"
        var plain: [String] = []
        var isTaken = false
        for (index, argument) in options.enumerated() {
            if isTaken {
                isTaken = false
                continue
            }
            let next = index + 1 < options.count ? options[index + 1] : nil
            switch argument {
            case "--watch":
                isTaken = next.map(isNumber) == true
                plain.append("--watch=\(isTaken ? next ?? "" : WatchInterval.standard.description)")
            case "--config" where isEdit && next?.contains("/") == true:
                plain.append("--config-file")
            case _ where isEdit && argument.hasPrefix("--config="):
                plain.append("--config-file=" + argument.dropFirst("--config=".count))
            default:
                plain.append(argument)
            }
        }
        return plain + rest
    }

    private static func isNumber(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) } }

    /// An option of `set` that stands there twice where a tap has one value. The parser would take the last.
    static func repeated(_ arguments: [String]) -> String? {
        guard arguments.first == "set" else { return nil }
        let options = arguments.prefix { $0 != "--" }
        return TapOptions.single.first { name in options.count { $0 == name || $0.hasPrefix(name + "=") } > 1 }
    }
}
