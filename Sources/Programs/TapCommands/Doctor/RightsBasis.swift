// SPDX-License-Identifier: LGPL-2.1-or-later

import Dataplane
import FilterCompiler
import FoundationEssentials
import Glibc
import TapControl
import TapModel
import TapSystem

/// Whose rights the doctor judges by, and what an examination of the host with these rights found.
enum RightsBasis {
    /// The rights of virt-tapd, which examined the host itself.
    case daemon(HostExamination)
    /// The rights that virt-tapd's unit gives it, in a child process.
    /// - Parameter why: why virt-tapd did not examine the host; `nil`: it does not run.
    case unit(HostExamination, why: String?)
    /// The rights of this process.
    /// - Parameter why: why there is no examination with virt-tapd's rights.
    case caller(why: String)

    /// What was found with virt-tapd's rights.
    var examination: HostExamination? {
        switch self {
        case .daemon(let found), .unit(let found, _): found
        case .caller: nil
        }
    }
}

extension RightsBasis {
    /// Lets virt-tapd examine the host, or a child process if virt-tapd does not run, hangs, or is too old for the request.
    ///
    /// - Parameters:
    ///   - ask: sends the request to virt-tapd; `nil`: it does not run.
    ///   - child: examines the host in a child process.
    static func examine(
        isRoot: Bool, ask: (() throws(ControlError) -> ControlResponse)?, child: () -> HostExamination?
    ) -> RightsBasis {
        // virt-tapd would refuse the request, and a child could not have its rights.
        guard isRoot else { return .caller(why: "only root may ask virt-tapd what it can do") }
        var why: String?
        if let ask {
            do throws(ControlError) {
                let response = try ask().accepted()
                if let found = try? JSONDecoder().decode(HostExamination.self, from: Data(response.body)) { return .daemon(found) }
                why = "virt-tap \(virtTapVersion) cannot read its answer"
            } catch {
                why = "\(error)"
            }
        }
        if let found = child() { return .unit(found, why: why) }
        return .caller(why: (why.map { "\($0); " } ?? "") + "no child process with virt-tapd's capabilities could be started")
    }
}

/// The child process that examines the host with virt-tapd's capabilities: this program, called with `argument`.
///
/// It gives up all capabilities that virt-tapd does not have and executes itself once more. So all of its threads, and its own child
/// that compiles a filter, have no more.
public enum ExaminationChild {
    /// The first argument of the child process. No help mentions it.
    public static let argument = "examine-in-child"
    /// The second argument: what the child does next.
    private enum Stage: String {
        /// Gives up capabilities.
        case lower
        /// Examines the host.
        case examine
    }

    /// The command that starts this program as the child.
    static let ownChild = ["/proc/self/exe", argument]
    /// How long the child may take.
    private static let timeout: Duration = .seconds(10)

    /// If this process was started as the child, does the child's work and ends the process.
    public static func runIfAsked(_ arguments: [String] = CommandLine.arguments) async {
        guard arguments.count == 5, arguments[1] == argument, let stage = Stage(rawValue: arguments[2]),
            let choice = MechanismChoice(rawValue: arguments[4])
        else { return }
        switch stage {
        case .lower: lower(arguments)
        case .examine: await examine(bpffs: arguments[3], choice)
        }
    }

    private static func lower(_ arguments: [String]) -> Never {
        do throws(Failure) {
            try DaemonRights.lower()
        } catch {
            ProcessEnd.now(EXIT_FAILURE, saying: error.message)
        }
        var words = arguments.map { strdup($0) } + [nil]
        words[2] = strdup(Stage.examine.rawValue)
        execv("/proc/self/exe", &words)
        ProcessEnd.now(EXIT_FAILURE, saying: "execv: \(ErrorText.of(errno))")
    }

    private static func examine(bpffs: String, _ choice: MechanismChoice) async -> Never {
        let examination = KernelDataplane(bpffs: bpffs).examination(choice: choice, filters: await FilterCompiler.selfTest())
        guard let data = try? JSONEncoder().encode(examination), WholeWrite.write(String(decoding: data, as: UTF8.self), to: STDOUT_FILENO)
        else { ProcessEnd.now(EXIT_FAILURE) }
        ProcessEnd.now(EXIT_SUCCESS)
    }

    /// Starts the child and reads its answer; `nil`: it could not be started, failed, or took too long.
    static func examination(bpffs: String, choice: MechanismChoice, command: [String] = ownChild) -> HostExamination? {
        let arguments = command.dropFirst() + [Stage.lower.rawValue, bpffs, choice.rawValue]
        guard let text = ToolOutput.run(command[0], Array(arguments), within: timeout) else { return nil }
        return try? JSONDecoder().decode(HostExamination.self, from: Data(text.utf8))
    }
}
