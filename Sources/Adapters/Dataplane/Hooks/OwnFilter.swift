// SPDX-License-Identifier: LGPL-2.1-or-later

internal import CLibbpf
internal import Glibc

/// A filter on a qdisc that virt-tap put there, known without any pin.
struct OwnFilter {
    let point: HookPoint
    let priority: UInt32
    let handle: UInt32
    let program: UInt32

    /// What the handles of ours have in their upper half: "vt".
    static let handleBase: UInt32 = 0x7674_0000

    /// By its handle and by the name that libbpf gives it: the program's, with its id.
    /// - Returns: `nil` for one of another.
    init?(_ filter: TrafficControl.Filter, _ point: HookPoint, _ kernel: Kernel) throws {
        guard filter.kind == "bpf", filter.handle & 0xFFFF_0000 == Self.handleBase, let program = filter.program,
            filter.name == "\(TapProgram.name):[\(program)]", try kernel.isTapProgram(program) ?? true
        else { return nil }
        self.point = point
        self.program = program
        priority = filter.priority
        handle = filter.handle
    }
}

extension Kernel {
    /// Whether a program has the name of ours, and maps with the names of ours.
    /// - Returns: `nil` when the kernel does not tell: to know a program by its id needs CAP_SYS_ADMIN.
    func isTapProgram(_ id: UInt32) throws -> Bool? {
        let program: KernelObject
        do {
            program = KernelObject(owning: try check(.identify) { bpf_prog_get_fd_by_id(id) })
        } catch let error as KernelError where [EPERM, EACCES].contains(error.number) {
            return nil
        } catch let error as KernelError where error.number == ENOENT {
            return false
        }
        var info = bpf_prog_info()
        try check(.identify) { clibbpf_program_info(program.descriptor, &info) }
        guard Self.text(info.name) == TapProgram.name else { return false }
        let names = try maps(of: program).map { id in
            let map = KernelObject(owning: try check(.identify) { bpf_map_get_fd_by_id(id) })
            return Self.text(try mapInfo(map).name)
        }
        return [MapLayout.counters, MapLayout.destinations, MapLayout.destinationCounters].map(\.name).allSatisfy(names.contains)
    }

    private static func text<Characters>(_ name: Characters) -> String {
        withUnsafeBytes(of: name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
