// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import FilterCompiler
import FoundationEssentials
import Glibc
import TapControl
import TapModel
import TapSystem

/// By whose rights the doctor judges what depends on rights.
enum JudgedRights {
    /// virt-tapd's, which looked itself.
    case daemons(HostExamination)
    /// Those that virt-tapd's unit gives it, in a child.
    /// - Parameter why: what became of asking virt-tapd; `nil`: nobody was there to be asked, or answers nothing at all.
    case units(HostExamination, why: String?)
    /// Those of whoever asks.
    /// - Parameter why: they are not virt-tapd's.
    case own(why: String)

    /// What was found by virt-tapd's rights.
    var examination: HostExamination? {
        switch self {
        case .daemons(let found), .units(let found, _): found
        case .own: nil
        }
    }
}

extension JudgedRights {
    /// Asks virt-tapd where there is one; a child stands in for one that is not there, hangs, or is too old for the question.
    ///
    /// - Parameters:
    ///   - ask: puts the question; `nil` when nobody is there to be asked.
    ///   - child: looks in virt-tapd's place.
    static func find(
        isRoot: Bool, ask: (() throws(ControlError) -> ControlResponse)?, child: () -> HostExamination?
    ) -> JudgedRights {
        // Neither would be answered.
        guard isRoot else { return .own(why: "only root may ask virt-tapd what it can do") }
        var why: String?
        if let ask {
            do throws(ControlError) {
                let response = try ask().accepted()
                if let found = try? JSONDecoder().decode(HostExamination.self, from: Data(response.body)) { return .daemons(found) }
                why = "its answer to what it can do is not one that virt-tap \(virtTapVersion) reads"
            } catch {
                why = "\(error)"
            }
        }
        if let found = child() { return .units(found, why: why) }
        return .own(why: (why.map { "\($0); " } ?? "") + "no process could be given virt-tapd's capabilities")
    }
}

/// The child that looks with virt-tapd's capabilities when there is no virt-tapd to ask: the same program, called with `argument`.
///
/// It gives up what virt-tapd has not got either and executes itself once more, so that all of its threads, and its own child that
/// compiles a filter, have no more than that.
public enum ExaminationChild {
    /// What makes a process the child: the first argument. It stands in no help.
    public static let argument = "examine-in-child"
    /// The second: whether it has given up already.
    private enum Stage: String {
        case lower, look
    }

    /// The program that runs now, as the child.
    static let ownChild = ["/proc/self/exe", argument]
    private static let patience: Duration = .seconds(10)

    /// Turns this process into the child, and ends it, if that is what it was started for.
    public static func runIfAsked(_ arguments: [String] = CommandLine.arguments) async {
        guard arguments.count == 5, arguments[1] == argument, let stage = Stage(rawValue: arguments[2]),
            let choice = MechanismChoice(rawValue: arguments[4])
        else { return }
        switch stage {
        case .lower: lower(arguments)
        case .look: await look(bpffs: arguments[3], choice)
        }
    }

    private static func lower(_ arguments: [String]) -> Never {
        do throws(Failure) {
            try DaemonRights.lower()
        } catch {
            ProcessEnd.now(EXIT_FAILURE, saying: error.message)
        }
        var words = arguments.map { strdup($0) } + [nil]
        words[2] = strdup(Stage.look.rawValue)
        execv("/proc/self/exe", &words)
        ProcessEnd.now(EXIT_FAILURE, saying: "execv: \(ErrorText.of(errno))")
    }

    private static func look(bpffs: String, _ choice: MechanismChoice) async -> Never {
        let examination = KernelDataplane(bpffs: bpffs).examination(choice: choice, filters: await FilterCompiler.selfTest())
        guard let data = try? JSONEncoder().encode(examination), WholeWrite.write(String(decoding: data, as: UTF8.self), to: STDOUT_FILENO)
        else { ProcessEnd.now(EXIT_FAILURE) }
        ProcessEnd.now(EXIT_SUCCESS)
    }

    /// What a process with virt-tapd's capabilities can do; `nil`: it could not be made, or did not come to an end.
    static func examination(bpffs: String, choice: MechanismChoice, command: [String] = ownChild) -> HostExamination? {
        let arguments = command.dropFirst() + [Stage.lower.rawValue, bpffs, choice.rawValue]
        guard let text = ToolOutput.run(command[0], Array(arguments), within: patience) else { return nil }
        return try? JSONDecoder().decode(HostExamination.self, from: Data(text.utf8))
    }
}
