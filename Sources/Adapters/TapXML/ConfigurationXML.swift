// SPDX-License-Identifier: LGPL-2.1-or-later

public import TapModel

/// The host's configuration file.
public enum ConfigurationXML {
    /// Reads a whole configuration, or says everything that is wrong with it.
    ///
    /// - Parameter bytes: UTF-8, at most 1 MiB.
    /// - Throws: `XMLProblem` with every problem, each with its line.
    public static func parse(_ bytes: [UInt8]) throws(XMLProblem) -> HostConfiguration {
        let root = try DocumentParser.parseAll(bytes, limits: .configuration)
        let diagnostics = Diagnostics()
        let configuration = ConfigurationGrammar.read(ElementScope(root: root, diagnostics: diagnostics))
        guard diagnostics.isEmpty else { throw XMLProblem(diagnostics.byLine) }
        return configuration
    }
}
