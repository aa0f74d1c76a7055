// SPDX-License-Identifier: LGPL-2.1-or-later

import TapControl
import TapModel
import TapXML

/// What a hook call comes to: the exit code and what is said in libvirt's log.
struct HookVerdict: Equatable {
    /// Whether libvirt is to be stopped from going on.
    var refuses: Bool
    /// For standard error; never more than one line for what went wrong.
    var lines: [String]

    /// The daemon answered.
    init(_ response: ControlResponse, operation: HookOperation, xml: [UInt8]) {
        guard response.isOK, let answer = response.hook else {
            let why = "virt-tapd could not take the call: \((response.error ?? "it gave no answer").printable)"
            self = HookVerdict(withoutAnswer: why, operation: operation, xml: xml)
            return
        }
        refuses = !answer.allow && operation.isRefusable
        lines = answer.lines.map(\.printable)
        if let message = answer.message { lines.append(message.printable) }
    }

    /// There is no answer. A domain with a required tap is then not started; a tap that is not required is never a reason
    /// to keep a guest from starting.
    ///
    /// - Parameter xml: the domain's, as far as it was read. What cannot be read requires nothing.
    init(withoutAnswer why: String, operation: HookOperation, xml: [UInt8] = []) {
        let taps = operation == .start ? (try? DomainXML.parse(xml))?.taps ?? [] : []
        let missing = RequiredTaps.unplaced(taps, because: why)
        refuses = !missing.isEmpty
        lines = refuses ? missing.map(\.printable) : [Self.passed(operation.rawValue, why)]
    }

    /// An operation at which the domain has no devices yet.
    static let nothingToDo = HookVerdict(refuses: false, lines: [])

    private init(refuses: Bool, lines: [String]) {
        self.refuses = refuses
        self.lines = lines
    }

    /// A later libvirt's operation: it is not even sent.
    init(unknown operation: String) {
        refuses = false
        lines = [Self.passed(operation, "this version knows no such operation")]
    }

    private static func passed(_ operation: String, _ why: String) -> String {
        "\(operation.printable): no taps were placed by this hook call, the domain goes on: \(why)"
    }
}
