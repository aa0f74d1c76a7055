// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
public import TapModel

/// The data path in the running kernel: eBPF programs on devices, kept by pins in bpffs.
///
/// Holds nothing but remembered answers of probes, which programs were seen to be ours, and the claim on the pins: all
/// state is in the kernel, so several objects, and several processes one after the other, see the same. Not for use by two threads at a time.
public final class KernelDataplane: TapDataplane {
    let pins: PinTree
    let kernel = Kernel()
    let ownPrograms = KnownPrograms()
    private let specCache = SpecCache()
    let pinLock = PinLock()
    private var hasTCX: Bool?
    /// In which half second the relay was looked at last.
    var recentRelayCheck: (tick: Int64, isInstalled: Bool)?

    /// The verifier's whole log, when the last call that failed did so because it refused a program.
    public private(set) var lastVerifierLog: String?

    /// Which eBPF object this program carries: `AttachmentSpec.build` of what it attaches.
    public static var build: String { TapProgram.build }

    /// Does not touch the kernel: what is missing is reported by the calls, and no longer once it is there.
    /// - Parameter bpffs: the mount point of a BPF file system, or a directory in one. The pins are below
    ///   `virt-tap/1` in it.
    public init(bpffs: String) {
        pins = PinTree(bpffs: bpffs, kernel: kernel)
    }

    var specs: SpecStore { SpecStore(pins: pins, cache: specCache) }
    var relay: RelayInstaller { RelayInstaller(pins: pins) }
    var ports: PortInstaller { PortInstaller(pins: pins) }
    var tcx: TCXHook { TCXHook(pins: pins) }
    var clsact: ClsactHook { ClsactHook(pins: pins) }

    func hooks(_ mechanism: Mechanism) -> any HookMechanism {
        switch mechanism {
        case .tcx: tcx
        case .clsact: clsact
        }
    }

    func reporting<Result>(_ what: String, needsPins: Bool = true, _ body: () throws -> Result) throws(Failure) -> Result {
        do {
            if needsPins { try pins.requireMounted() }
            return try body()
        } catch {
            lastVerifierLog = (error as? KernelError)?.log
            throw FailureReport.failure(error, what)
        }
    }

    // MARK: One writer

    /// Takes this bpffs for this object, until it ends: an `flock` on the directory of pins, which is made. A claim
    /// outlives a purge and a bpffs that is mounted anew; with one, `attachments()` also removes filters of ours whose
    /// pins were lost. `purge()` takes one for as long as it lasts.
    /// - Throws: `attach-failed` when another process (or object) has it; `bpffs-not-mounted`, `permission-denied`.
    public func lock() throws(Failure) {
        try reporting("claiming \(pins.bpffs)") { try pinLock.acquire(pins) }
    }

    /// The directories, and the claim on them if there is to be one: others may have removed what it was on.
    func makeLayout() throws {
        if pinLock.isRequested { try pinLock.acquire(pins) } else { try pins.makeLayout() }
    }

    // MARK: What is there

    public func mechanism(for choice: MechanismChoice) throws(Failure) -> Mechanism {
        try reporting("choosing between TCX and clsact") {
            if choice == .clsact { return .clsact }
            if try probeTCX() { return .tcx }
            guard choice == .auto else {
                throw Failure(
                    .kernelTooOld,
                    "the configuration asks for TCX, which needs Linux 6.6; set <mechanism name=\"auto\"/> or \"clsact\"")
            }
            return .clsact
        }
    }

    /// Asks for the programs of a hook: a kernel that does not know the hook answers EINVAL. The loopback device is
    /// number 1 in every network namespace.
    func probeTCX() throws -> Bool {
        if let hasTCX { return hasTCX }
        do {
            _ = try TCXHook.readChain(HookPoint(.inbound, ifindex: 1, isMacvtap: false), kernel)
            hasTCX = true
            return true
        } catch let error as KernelError where error.number == EINVAL {
            hasTCX = false
            return false
        }
    }

    public func devices() throws(Failure) -> [HostDevice] {
        try reporting("listing the network devices", needsPins: false) { try DeviceList.read(kernel) }
    }

    public func device(named name: String) throws(Failure) -> HostDevice? {
        try reporting("looking at network device \(name)", needsPins: false) { try DeviceList.read(name, kernel) }
    }
}
