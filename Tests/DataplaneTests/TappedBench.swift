// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibpcap
import Dataplane
import DataplaneTestSupport
import Glibc
import TapModel

/// A bench with a data path, and what a test says of it most often.
struct TappedBench {
    let bench: TestBench
    var dataplane: KernelDataplane
    let mechanism: Mechanism
    private let end: End
    static let now = Timestamp(seconds: 1_800_000_000)

    init(_ mechanism: Mechanism, withHeader: Bool = false) throws {
        bench = try TestBench(withHeader: withHeader)
        dataplane = KernelDataplane(bpffs: bench.bpffs)
        end = End(bench)
        self.mechanism = mechanism
        try dataplane.setDestination("ids", kind: .interface, ifindex: bench.destinationIndex)
    }

    /// With the last copy of a bench goes what outlives its devices: the relay, monitor ports and pins.
    private final class End {
        private let bench: TestBench

        init(_ bench: TestBench) { self.bench = bench }

        deinit { _ = try? KernelDataplane(bpffs: bench.bpffs).purge() }
    }

    /// - Parameter choose: what the tap asks for beyond copying everything.
    func desired(
        _ direction: TapDirection = .both, tap: String = "ids", to destination: String = "ids", on device: TapDevice? = nil,
        _ choose: (inout CopyOptions) -> Void = { _ in }
    ) throws -> DesiredAttachment {
        let device = device ?? bench.guest
        var options = CopyOptions(direction: direction, destination: destination, mark: PacketMark())
        choose(&options)
        return DesiredAttachment(
            key: AttachmentKey(
                domain: DomainUUID("6b3b4ae2-6a3e-4a0c-a1c5-2d8f3f6f6b01")!, origin: .domain, tap: TapName(tap)!,
                ifindex: device.index),
            domainName: "web1",
            interface: AttachedInterface(
                alias: "net0", mac: MACAddress(bytes: FrameBuilder.guest)!, type: .bridge, device: device.name, isMacvtap: false),
            destinationKind: .interface, options: options, filter: try options.filter.map(CompiledFilter.init(pcap:)),
            mechanism: mechanism)
    }

    @discardableResult
    func attach(
        _ direction: TapDirection = .both, tap: String = "ids", to destination: String = "ids", on device: TapDevice? = nil,
        _ choose: (inout CopyOptions) -> Void = { _ in }
    ) throws -> DesiredAttachment {
        let desired = try desired(direction, tap: tap, to: destination, on: device, choose)
        try dataplane.attach(desired, at: Self.now)
        return desired
    }

    /// Sends `count` frames each way and checks that the originals arrive as they were.
    /// - Returns: what was sent, outbound first.
    func exchange(_ count: Int, from first: Int = 0, payload: Int = 100) throws -> (sent: [[UInt8]], areWhole: Bool) {
        let outbound = (first..<(first + count)).map { FrameBuilder.udp($0, payload: payload) }
        let inbound = (first..<(first + count)).map { FrameBuilder.udp($0 + 1_000_000, payload: payload, toGuest: true) }
        for frame in outbound { try bench.guest.write(frame) }
        let atPeer = bench.peer.receive(count)
        for frame in inbound { try bench.peer.send(frame) }
        var atGuest: [[UInt8]] = []
        while atGuest.count < count, let frame = bench.guest.read(within: 5_000) { atGuest.append(frame) }
        for (end, came, went) in [("peer", atPeer, outbound), ("guest", atGuest, inbound)] where came != went {
            // What failed on another machine must be in its log.
            let first = zip(came, went).enumerated().first { $1.0 != $1.1 }.map { "; number \($0) is \($1.0), not \($1.1)" } ?? ""
            print("of \(went.count) frames to the \(end), \(came.count) came\(first)")
        }
        return (outbound + inbound, atPeer == outbound && atGuest == inbound)
    }

    func counters(_ desired: DesiredAttachment) throws -> [Direction: DirectionCounters] { try dataplane.counters(of: desired.key.id) }
}

extension Mechanism {
    /// What the running kernel must be able to do by its version, whatever our probe says: TCX came with 6.6.
    static let possible: [Mechanism] = {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let numbers = release.split { $0 == "." || $0 == "-" }.prefix(2).compactMap { Int($0) }
        return numbers.lexicographicallyPrecedes([6, 6]) ? [.clsact] : Mechanism.allCases
    }()

    /// What is tested here of what would be the same on another kernel: one that is booted for it and has both is there for TCX, since
    /// clsact is tested on an older one and on the machine's own.
    static let here = getenv("VT_KERNEL_MATRIX") != nil && possible.contains(.tcx) ? [.tcx] : possible
}

extension Counter {
    /// Of whole frames.
    init(_ frames: some Sequence<[UInt8]>) {
        self = frames.reduce(into: Counter()) { $0 += Counter(packets: 1, bytes: UInt64($1.count)) }
    }
}

extension CompiledFilter {
    /// As libpcap compiles it for a file: in a test the expression is the test's own.
    init(pcap expression: String) throws {
        let handle = pcap_open_dead(DLT_EN10MB, 65_535)
        defer { pcap_close(handle) }
        var program = bpf_program()
        guard pcap_compile(handle, &program, expression, 1, 0) == 0 else { throw CallFailure("pcap_compile \(expression)") }
        defer { pcap_freecode(&program) }
        self.init(
            expression: expression,
            instructions: UnsafeBufferPointer(start: program.bf_insns, count: Int(program.bf_len)).map {
                UInt64($0.code) | UInt64($0.jt) << 16 | UInt64($0.jf) << 24 | UInt64($0.k) << 32
            })
    }
}
