// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc

/// The system calls of the data path. Each method makes one call and throws `KernelError`.
///
/// Every call that can fail goes through `check`, so that tests can make each of them fail.
final class Kernel {
    /// Asked before each call. If it returns an errno, the call fails with it and is not made.
    var fault: ((KernelCall) -> CInt?)?

    init() { clibbpf_capture_messages() }

    /// Makes a call and throws its error.
    /// - Parameter body: returns -1 and sets errno, or returns -errno, as the functions of libc and libbpf do.
    @discardableResult
    func check(_ call: KernelCall, _ subject: String = "", _ body: () -> CInt) throws -> CInt {
        if let number = fault?(call) { throw KernelError(call: call, number: number, subject: subject) }
        let result = body()
        guard result < 0 else { return result }
        throw KernelError(call: call, number: result == -1 ? errno : -result, subject: subject)
    }

    // MARK: Maps

    func createArray(_ name: String, valueSize: UInt32, entries: UInt32, perCPU: Bool = false, readOnlyForPrograms: Bool = false) throws
        -> KernelObject
    {
        var options = bpf_map_create_opts()
        options.sz = MemoryLayout<bpf_map_create_opts>.size
        options.map_flags = readOnlyForPrograms ? UInt32(BPF_F_RDONLY_PROG) : 0
        let type = perCPU ? BPF_MAP_TYPE_PERCPU_ARRAY : BPF_MAP_TYPE_ARRAY
        return KernelObject(owning: try check(.createMap, name) { bpf_map_create(type, name, 4, valueSize, entries, &options) })
    }

    func write(_ value: [UInt8], to map: KernelObject, at index: UInt32) throws {
        try check(.updateMap) { withUnsafePointer(to: index) { bpf_map_update_elem(map.descriptor, $0, value, 0) } }
    }

    func read(_ map: KernelObject, at index: UInt32, size: Int) throws -> [UInt8] {
        var value = [UInt8](repeating: 0, count: size)
        try check(.readMap) { withUnsafePointer(to: index) { bpf_map_lookup_elem(map.descriptor, $0, &value) } }
        return value
    }

    func freeze(_ map: KernelObject) throws {
        try check(.freezeMap) { bpf_map_freeze(map.descriptor) }
    }

    func mapInfo(_ map: KernelObject) throws -> bpf_map_info {
        var info = bpf_map_info()
        try check(.readMap) { clibbpf_map_info(map.descriptor, &info) }
        return info
    }

    /// The ids of the maps that a program works on.
    func maps(of program: KernelObject) throws -> Set<UInt32> {
        // The kernel allows 64 per program.
        var ids = [UInt32](repeating: 0, count: 64)
        let count = try check(.readMap) { clibbpf_program_maps(program.descriptor, &ids, 64) }
        return Set(ids.prefix(Int(count)))
    }

    // MARK: Programs

    /// Runs a program once on a frame, as if the device had received it. Clones that the program makes are really sent; the frame
    /// itself is discarded.
    /// - Parameter frame: at least an Ethernet header and an IP header.
    func testRun(_ program: KernelObject, frame: [UInt8], ifindex: UInt32) throws {
        var context = __sk_buff()
        context.ifindex = ifindex
        try check(.testRun) {
            frame.withUnsafeBytes { frame in
                withUnsafePointer(to: &context) { context in
                    var options = bpf_test_run_opts()
                    options.sz = MemoryLayout<bpf_test_run_opts>.size
                    options.data_in = frame.baseAddress
                    options.data_size_in = UInt32(frame.count)
                    options.ctx_in = UnsafeRawPointer(context)
                    options.ctx_size_in = UInt32(MemoryLayout<__sk_buff>.size)
                    options.`repeat` = 1
                    return bpf_prog_test_run_opts(program.descriptor, &options)
                }
            }
        }
    }

    // MARK: Pins

    func makeDirectory(_ path: String) throws {
        try check(.makeDirectory, path) { mkdir(path, 0o700) }
    }

    func pin(_ object: KernelObject, at path: String) throws {
        try check(.pin, path) { bpf_obj_pin(object.descriptor, path) }
    }

    /// Opens a pin.
    /// - Returns: `nil` when it does not exist, or is another kind of object.
    func open(_ path: String, _ kind: clibbpf_kind) throws -> KernelObject? {
        do {
            let object = KernelObject(owning: try check(.open, path) { bpf_obj_get(path) })
            return clibbpf_kind_of(object.descriptor) == kind ? object : nil
        } catch let error as KernelError where [ENOENT, EISDIR].contains(error.number) {
            return nil
        }
    }

    func rename(_ old: String, to new: String) throws {
        try check(.rename, new) { Glibc.rename(old, new) }
    }

    /// Removes a pin. It is no error when it does not exist.
    func unlink(_ path: String) throws {
        do {
            try check(.unlink, path) { Glibc.unlink(path) }
        } catch let error as KernelError where error.number == ENOENT {}
    }

    func openDirectory(_ path: String) throws -> CInt {
        try check(.open, path) { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    }

    /// Opens `name` in an open directory. Does not follow a link of that name.
    func openDirectory(_ path: String, at directory: CInt, _ name: String) throws -> CInt {
        try check(.open, path) { openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
    }

    /// Removes a pin in an open directory. It is no error when it does not exist.
    func unlink(_ path: String, at directory: CInt, _ name: String) throws {
        do {
            try check(.unlink, "\(path)/\(name)") { unlinkat(directory, name, 0) }
        } catch let error as KernelError where error.number == ENOENT {}
    }

    /// Removes an empty directory in an open one. It is no error when it does not exist.
    func removeDirectory(_ path: String, at directory: CInt, _ name: String) throws {
        do {
            try check(.unlink, "\(path)/\(name)") { unlinkat(directory, name, AT_REMOVEDIR) }
        } catch let error as KernelError where error.number == ENOENT {}
    }
}

/// The kinds of calls to the kernel that can fail. The raw value completes "could not …" in messages; tests inject faults by kind.
enum KernelCall: String, CaseIterable, Sendable {
    case makeDirectory = "make a directory for pins"
    case createMap = "create a map"
    case updateMap = "write to a map"
    case readMap = "read a map"
    case freezeMap = "freeze a map"
    case pin = "pin an object"
    case open = "open a pin"
    case rename = "rename a pin"
    case unlink = "remove a pin"
    case lock = "lock the directory of pins"
    case identify = "identify a program"
    case load = "load a program"
    case createLink = "attach a program"
    case updateLink = "replace a program"
    case detachLink = "detach a program"
    case queryHook = "list a device's programs"
    case createQdisc = "add a qdisc for filters"
    case destroyQdisc = "remove virt-tap's qdisc"
    case attachFilter = "add a filter"
    case detachFilter = "remove a filter"
    case netlink = "exchange messages with rtnetlink"
    case testRun = "run a program on a test frame"
    case changeDevice = "create or change a device of virt-tap"
}

/// A call to the kernel failed.
struct KernelError: Error {
    var call: KernelCall
    /// The errno value, positive.
    var number: CInt
    /// The object of the call, such as a path or a device.
    var subject: String = ""
    /// For a load, the verifier's whole log.
    var log: String?
}

/// A map, program or link, held by an open file descriptor.
final class KernelObject {
    let descriptor: CInt

    init(owning descriptor: CInt) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Reads the kernel's id of a program.
    func programID() throws -> UInt32 {
        var info = bpf_prog_info()
        let result = clibbpf_program_info(descriptor, &info)
        guard result == 0 else { throw KernelError(call: .open, number: -result, subject: "program") }
        return info.id
    }
}

/// The steps that take back what was done so far, for when a later step fails.
final class Undo {
    private var steps: [() throws -> Void] = []

    func add(_ step: @escaping () throws -> Void) { steps.append(step) }

    /// Runs the steps, the last one first. What fails is repaired at the next start of virt-tapd.
    func run() {
        for step in steps.reversed() { try? step() }
        steps = []
    }
}
