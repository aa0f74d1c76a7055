// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapControl
import TapHost
import TapModel
import TapSystem
import TapXML

/// `virt-tap hook`: what hooks/qemu calls.
///
/// The domain is locked in libvirt and its guest waits while this runs. So it asks neither libvirt nor the kernel, has
/// one deadline for all it does, writes nothing to standard output (at `migrate` and `restore` that would replace the
/// domain's XML), and whatever goes wrong ends in exit code 0, except for a domain with a required tap at `start`.
struct HookCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hook",
        abstract: "Hands a call of libvirt's qemu hook to the daemon.",
        discussion: "For /etc/libvirt/hooks/qemu.d/virt-tap: virt-tap hook -- GUEST OPERATION SUBOPERATION EXTRA < domain.xml")

    /// The first four count; what a later libvirt adds is left aside.
    @Argument(parsing: .postTerminator, help: "As libvirt calls the hook: GUEST OPERATION SUBOPERATION EXTRA.")
    var call: [String] = []

    @OptionGroup var paths: PathOptions

    /// How long an operation takes at most at which nothing depends on the daemon: a guest's stop, save or restore calls
    /// several, and a daemon that hangs must not add up.
    private static let courtesy = Duration.milliseconds(300)

    func validate() throws {
        guard call.count >= 2 else {
            throw ValidationError("hook needs what libvirt gives it, behind --: hook -- GUEST OPERATION SUBOPERATION EXTRA")
        }
    }

    func run() throws {
        // A log that is gone is no reason to stop a guest.
        signal(SIGPIPE, SIG_IGN)
        let verdict = verdict()
        for line in verdict.lines { Output.complain(line) }
        if verdict.refuses { throw CommandFailure(.refused) }
    }

    private func verdict() -> HookVerdict {
        guard let operation = HookOperation(rawValue: call[1]) else { return HookVerdict(unknown: call[1]) }
        guard operation.concernsDaemon else { return .nothingToDo }
        let begin = ContinuousClock.now
        // A configuration that cannot be read is the daemon's to report; here the default time must do.
        let seconds = (try? ConfigurationFile(path: paths.config).load())?.hookTimeout ?? HostConfiguration().hookTimeout
        let end = begin + (operation.waitsForDaemon ? .seconds(Int64(seconds)) : Self.courtesy)
        let xml: [UInt8]
        do {
            xml = try HookInput.read(before: end)
        } catch {
            let why =
                switch error {
                case .tooLong: "the XML on standard input has more than \(DomainSnapshot.maximumXML >> 20) MiB"
                case .tooSlow: "the XML on standard input did not end in time"
                case .unreadable(let code): "standard input: \(ErrorText.of(code))"
                }
            return HookVerdict(withoutAnswer: why, operation: operation)
        }
        // A domain that says nothing of taps has nothing to wait for.
        let wished = xml.firstRange(of: MetadataXML.namespace.utf8) != nil
        let last = wished ? end : min(end, .now + Self.courtesy)
        let request = HookCall(
            guest: call[0], operation: operation.rawValue, suboperation: call.count > 2 ? call[2] : "-",
            extra: call.count > 3 ? call[3] : "-", xml: xml)
        do {
            let client = ControlClient(path: paths.runtimeDirectory.controlSocket)
            return HookVerdict(
                try client.send(.hook(request), within: ContinuousClock.now.duration(to: last)), operation: operation, xml: xml)
        } catch {
            return HookVerdict(withoutAnswer: "\(error)", operation: operation, xml: xml)
        }
    }
}

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

/// Reads what libvirt gives a hook on standard input.
enum HookInput {
    enum Problem: Error, Equatable {
        case tooLong
        case tooSlow
        case unreadable(Int32)
    }

    /// All of it, until the other end closes.
    static func read(_ descriptor: Int32 = 0, before end: ContinuousClock.Instant) throws(Problem) -> [UInt8] {
        var bytes: [UInt8] = []
        let deadline = Deadline(at: end)
        while true {
            guard !deadline.hasPassed else { throw .tooSlow }
            var waited = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&waited, 1, deadline.pollMilliseconds)
            if ready < 0, errno != EINTR { throw .unreadable(errno) }
            guard ready > 0 else { continue }
            var code: Int32 = 0
            var count = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: 256 * 1_024) { buffer, initialised in
                count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                code = errno
                initialised = max(0, count)
            }
            if count < 0, code != EINTR, code != EAGAIN { throw .unreadable(code) }
            if count == 0 { return bytes }
            bytes += chunk
            guard bytes.count <= DomainSnapshot.maximumXML else { throw .tooLong }
        }
    }
}
