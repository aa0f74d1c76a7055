// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import Dispatch
import FilterCompiler
import FoundationEssentials
import TapControl
import TapModel

/// Answers what `virt-tap` asks.
struct RequestHandler: Sendable {
    let reconciler: Reconciler
    /// `nil`: on a socket where nobody may ask for it.
    var loader: ConfigurationLoader?
    /// `nil`: on a socket where nobody may ask for it.
    var examination: SelfExamination?

    private static let refusal = ControlResponse(
        error: "the status socket does not allow this: use the control socket", reason: .permissionDenied)

    func answer(_ request: ControlRequest) async -> ControlResponse {
        switch request {
        case .ping:
            return ControlResponse()
        case .status:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            do {
                return ControlResponse(body: [UInt8](try encoder.encode(await reconciler.status(patience: 1.5))))
            } catch {
                return ControlResponse(error: "the status document cannot be written: \(error)")
            }
        case .purge:
            do throws(Failure) {
                return ControlResponse(removed: try await reconciler.purge())
            } catch {
                return ControlResponse(error)
            }
        case .reload:
            guard let loader else { return Self.refusal }
            do throws(ConfigurationRefusal) {
                return ControlResponse(lines: try await loader.load(.asked).map(\.message))
            } catch {
                return ControlResponse(error: error.message, reason: error.reason, lines: error.lines)
            }
        case .test(let call):
            do {
                return ControlResponse(body: [UInt8](try JSONEncoder().encode(await reconciler.test(call))))
            } catch {
                return ControlResponse(error: "the result cannot be written: \(error)")
            }
        case .examine:
            guard let examination else { return Self.refusal }
            do {
                let found = await examination.run(await reconciler.configuration.value.mechanism)
                return ControlResponse(body: [UInt8](try JSONEncoder().encode(found)))
            } catch {
                return ControlResponse(error: "what was found cannot be written: \(error)")
            }
        case .hook(let call):
            return ControlResponse(hook: await reconciler.hook(operation: call.operation, xml: call.xml))
        }
    }
}

/// Says what this process can do with the rights that it has, for `virt-tap doctor`.
///
/// On a thread and with a data path of its own: neither the reconciler nor a guest's start waits for it.
struct SelfExamination: Sendable {
    let bpffs: String

    func run(_ choice: MechanismChoice) async -> HostExamination {
        let filters = await FilterCompiler.selfTest()
        return await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { [bpffs] in
                continuation.resume(returning: KernelDataplane(bpffs: bpffs).examination(choice: choice, filters: filters))
            }
        }
    }
}
