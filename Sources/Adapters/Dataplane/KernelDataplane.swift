// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
public import TapModel

/// The data path in the running kernel: eBPF programs on devices, kept by pins in bpffs.
///
/// All state is in the kernel, so several objects, and several processes one after the other, work on the same. The object itself holds only
/// the lock on the pins and caches: answers of probes, specs, and the ids of programs of ours. Not for use by two threads at a time.
public final class KernelDataplane: TapDataplane {
    let pins: PinTree
    let kernel = Kernel()
    let ownPrograms = KnownPrograms()
    private let specCache = SpecCache()
    let pinLock = PinLock()
    private var hasTCX: Bool?
    /// In which half second since boot the relay was read last, and whether it was installed then.
    var recentRelayCheck: (tick: Int64, isInstalled: Bool)?

    /// The verifier's whole log, when the last failure was its refusal of a program.
    public private(set) var lastVerifierLog: String?

    /// The build of the embedded eBPF object: `AttachmentSpec.build` of what it attaches.
    public static var build: String { TapProgram.build }

    /// Does not access the kernel. What is missing is reported by each call.
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

    /// Locks the directory of pins for this object, until the object ends, by flock(2). Makes the directory if needed. The lock is
    /// acquired again after a purge and when bpffs is mounted anew. While it is held, `attachments()` also removes filters of ours whose
    /// pins were lost. `purge()` holds the lock while it runs.
    /// - Throws: `attach-failed` when another process (or object) has the lock; `bpffs-not-mounted`, `permission-denied`.
    public func lock() throws(Failure) {
        try reporting("locking \(pins.bpffs)") { try pinLock.acquire(pins) }
    }

    /// Makes the directories, and locks them again if they were locked: somebody may have removed them.
    func makeLayout() throws {
        if pinLock.isRequested { try pinLock.acquire(pins) } else { try pins.makeLayout() }
    }

    // MARK: Mechanism and devices

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

    /// Lists the programs of a TCX hook: a kernel without TCX answers EINVAL. The loopback device has ifindex 1 in every network
    /// namespace.
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
        try reporting("reading network device \(name)", needsPins: false) { try DeviceList.read(name, kernel) }
    }
}
