// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel
import TapSystem

/// Where our pins are in bpffs, and how they are made, exchanged and removed.
///
///     virt-tap/1/destinations, destination-counters      shared by all attachments
///     virt-tap/1/qdisc-<ifindex>                         we made the clsact qdisc there
///     virt-tap/1/<id>/counters, spec                     one attachment
///     virt-tap/1/<id>/link-inbound, link-outbound        TCX
///     virt-tap/1/<id>/program-inbound, program-outbound  the programs, to compare with and to go back to
///
/// Names that end in -new are the first half of an exchange and mean nothing.
struct PinTree {
    /// What a name ends in while it is to take another's place.
    static let draft = "-new"

    let bpffs: String
    let kernel: Kernel

    var top: String { bpffs + "/virt-tap" }
    var layout: String { top + "/\(MapLayout.version)" }

    func directory(_ id: AttachmentID) -> String { "\(layout)/\(id.text)" }
    func counters(_ id: AttachmentID) -> String { directory(id) + "/counters" }
    func spec(_ id: AttachmentID) -> String { directory(id) + "/spec" }
    func link(_ id: AttachmentID, _ direction: Direction) -> String { "\(directory(id))/link-\(direction.rawValue)" }
    func program(_ id: AttachmentID, _ direction: Direction) -> String { "\(directory(id))/program-\(direction.rawValue)" }
    func qdisc(_ ifindex: UInt32) -> String { "\(layout)/qdisc-\(String(ifindex, radix: 16))" }
    var destinations: String { layout + "/destinations" }
    var destinationCounters: String { layout + "/destination-counters" }

    /// - Throws: `bpffs-not-mounted`.
    func requireMounted() throws {
        let result = clibbpf_is_bpffs(bpffs)
        if result == 1 { return }
        let found = result == 0 ? "another file system is there" : ErrorText.of(-result)
        throw Failure(
            .bpffsNotMounted,
            "\(bpffs) is no BPF file system (\(found)), so programs cannot be kept there; mount it: mount -t bpf bpf \(bpffs)")
    }

    /// Makes the directories, for root alone.
    func makeLayout() throws {
        for path in [top, layout] { try makeDirectory(path) }
    }

    func makeDirectory(_ path: String) throws {
        do {
            try kernel.makeDirectory(path)
        } catch let error as KernelError where error.number == EEXIST {}
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// The names in a directory, in no order; none when it is not there.
    func names(in path: String) throws -> [String] {
        guard let stream = opendir(path) else {
            if errno == ENOENT || errno == ENOTDIR { return [] }
            throw KernelError(call: .open, number: errno, subject: path)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    func attachmentIDs() throws -> [AttachmentID] {
        try names(in: layout).compactMap { AttachmentID(directory: $0) }.sorted { $0.text < $1.text }
    }

    /// Pins `object` at `path` in place of what is there, at once: a reader sees the one or the other.
    func place(_ object: KernelObject, at path: String, kind: clibbpf_kind, _ undo: Undo) throws {
        let former = try kernel.open(path, kind)
        if exists(path) { try exchange(object, at: path) } else { try kernel.pin(object, at: path) }
        undo.add {
            if let former { try exchange(former, at: path) } else { try kernel.unlink(path) }
        }
    }

    private func exchange(_ object: KernelObject, at path: String) throws {
        let draft = path + Self.draft
        try kernel.unlink(draft)
        try kernel.pin(object, at: draft)
        do {
            try kernel.rename(draft, to: path)
        } catch {
            try? kernel.unlink(draft)
            throw error
        }
    }

    /// Removes a directory with everything in it.
    func remove(_ path: String) throws {
        for name in try names(in: path) {
            let child = "\(path)/\(name)"
            var information = stat()
            if lstat(child, &information) == 0, information.st_mode & S_IFMT == S_IFDIR {
                try remove(child)
            } else {
                try kernel.unlink(child)
            }
        }
        try kernel.removeDirectory(path)
    }
}
