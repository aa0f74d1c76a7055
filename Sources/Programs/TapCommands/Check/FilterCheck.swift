// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapModel

/// Compiles the filters of taps, to see whether they are any. Needs no privileges.
struct FilterCheck: Sendable {
    /// What an expression comes to.
    var compile: @Sendable (String) async -> Result<CompiledFilter, Failure>

    /// By libpcap, in children as the daemon has them.
    static let system: FilterCheck = {
        // Whether this process could have a filter see tags says nothing about the daemon.
        let compiler = FilterCompiler(requiresTags: false)
        return FilterCheck { expression in
            do throws(Failure) {
                return .success(try await compiler.compile(expression))
            } catch {
                return .failure(error)
            }
        }
    }()

    /// For `HostState.filters`.
    func results(of taps: some Sequence<TapEntry>) async -> [String: Result<CompiledFilter, Failure>] {
        var results: [String: Result<CompiledFilter, Failure>] = [:]
        for case .valid(let tap) in taps {
            guard let expression = tap.filter, results[expression] == nil else { continue }
            results[expression] = await compile(expression)
        }
        return results
    }
}
