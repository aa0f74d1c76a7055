// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import Glibc
import TapControl
import TapHost
import TapModel
import TapSystem
import TapXML

/// `virt-tap hook`, which hooks/qemu calls.
///
/// libvirt locks the domain, and its guest waits, while this runs. So it asks neither libvirt nor the kernel and has one deadline for
/// everything. It writes nothing to standard output: at `migrate` and `restore` that would replace the domain's XML. Every error ends
/// in exit code 0, except at `start` of a domain with a required tap.
struct HookCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hook",
        abstract: "Pass a call of libvirt's qemu hook to virt-tapd.",
        discussion: "The script /etc/libvirt/hooks/qemu.d/virt-tap runs: virt-tap hook -- GUEST OPERATION SUBOPERATION EXTRA < domain.xml")

    /// Words behind the fourth, which a later libvirt may add, are ignored.
    @Argument(parsing: .postTerminator, help: "The hook's arguments from libvirt: GUEST OPERATION SUBOPERATION EXTRA.")
    var call: [String] = []

    @OptionGroup var paths: PathOptions

    /// The deadline of an operation at which nothing depends on the daemon. The stop, save or restore of a guest has several such
    /// operations, and a daemon that hangs must not delay each of them for long.
    private static let shortDeadline = Duration.milliseconds(300)

    func validate() throws {
        guard call.count >= 2 else {
            throw ValidationError("missing arguments: use virt-tap hook -- GUEST OPERATION SUBOPERATION EXTRA")
        }
    }

    func run() throws {
        // If nobody reads standard error, the guest must start all the same.
        signal(SIGPIPE, SIG_IGN)
        let verdict = verdict()
        for line in verdict.lines { Output.error(line) }
        if verdict.refuses { throw CommandFailure(.refused) }
    }

    private func verdict() -> HookVerdict {
        guard let operation = HookOperation(rawValue: call[1]) else { return HookVerdict(unknown: call[1]) }
        guard operation.concernsDaemon else { return .nothingToDo }
        let begin = ContinuousClock.now
        // The daemon reports a configuration that cannot be read; here the default timeout is used.
        let seconds = (try? ConfigurationFile(path: paths.config).load())?.hookTimeout ?? HostConfiguration().hookTimeout
        let end = begin + (operation.waitsForDaemon ? .seconds(Int64(seconds)) : Self.shortDeadline)
        let xml: [UInt8]
        do {
            xml = try HookInput.read(before: end)
        } catch {
            let why =
                switch error {
                case .tooLong: "the XML on standard input is larger than \(DomainSnapshot.maximumXML >> 20) MiB"
                case .tooSlow: "the XML on standard input did not end in time"
                case .unreadable(let code): "cannot read standard input: \(ErrorText.of(code))"
                }
            return HookVerdict(withoutAnswer: why, operation: operation)
        }
        // A domain without our metadata need not wait for virt-tapd.
        let hasMetadata = xml.firstRange(of: MetadataXML.namespace.utf8) != nil
        let last = hasMetadata ? end : min(end, .now + Self.shortDeadline)
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

/// The result of a hook call: the exit code, and lines for libvirt's log.
struct HookVerdict: Equatable {
    /// Whether the domain must not start.
    var refuses: Bool
    /// Lines for standard error; at most one of them is about an error.
    var lines: [String]

    /// The verdict after an answer of virt-tapd.
    init(_ response: ControlResponse, operation: HookOperation, xml: [UInt8]) {
        guard response.isOK, let answer = response.hook else {
            let why = "virt-tapd did not accept the hook call: \((response.error ?? "empty answer").printable)"
            self = HookVerdict(withoutAnswer: why, operation: operation, xml: xml)
            return
        }
        refuses = !answer.allow && operation.isRefusable
        lines = answer.lines.map(\.printable)
        if let message = answer.message { lines.append(message.printable) }
    }

    /// The verdict without an answer. A domain with a required tap does not start; other taps never keep a guest from starting.
    ///
    /// - Parameter xml: the domain's XML, as far as it was read. If it cannot be parsed, no tap is required.
    init(withoutAnswer why: String, operation: HookOperation, xml: [UInt8] = []) {
        let taps = operation == .start ? (try? DomainXML.parse(xml))?.taps ?? [] : []
        let missing = RequiredTaps.unplaced(taps, because: why)
        refuses = !missing.isEmpty
        lines = refuses ? missing.map(\.printable) : [Self.ignored(operation.rawValue, why)]
    }

    /// The verdict for an operation at which the domain has no devices yet.
    static let nothingToDo = HookVerdict(refuses: false, lines: [])

    private init(refuses: Bool, lines: [String]) {
        self.refuses = refuses
        self.lines = lines
    }

    /// The verdict for an operation of a later libvirt, which is not passed to virt-tapd.
    init(unknown operation: String) {
        refuses = false
        lines = [Self.ignored(operation, "unknown operation")]
    }

    private static func ignored(_ operation: String, _ why: String) -> String {
        "\(operation.printable): this hook call attached no taps, the domain goes on: \(why)"
    }
}

/// Reads the XML that libvirt writes to the hook's standard input.
enum HookInput {
    enum Problem: Error, Equatable {
        case tooLong
        case tooSlow
        case unreadable(Int32)
    }

    /// All bytes until the other end closes.
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
