// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel
import TapSystem

/// The paths of our pins in bpffs, and how pins are made, replaced and removed.
///
///     virt-tap/1/destinations, destination-counters, destination-rates, tunnels, sequences, backlogs, hops, last-copies
///                                                        shared by all attachments
///     virt-tap/1/hop-departure, hop-arrival              the programs on our devices
///     virt-tap/1/port-<ifindex>-…                        the programs on a monitor port, and with TCX their links
///     virt-tap/1/qdisc-<ifindex>                         records that we created the device's qdisc, clsact or ingress
///     virt-tap/1/<id>/counters, spec                     one attachment
///     virt-tap/1/<id>/rate                               of a tap with a rate; one map for all its attachments
///     virt-tap/1/<id>/link-inbound, link-outbound        TCX
///     virt-tap/1/<id>/program-inbound, program-outbound  the programs, to recognise them and to go back to them
///
/// A name that ends in -new is the first half of a replacement and has no meaning.
struct PinTree {
    /// The end of a pin's name while it is about to replace another pin.
    static let draft = "-new"

    let bpffs: String
    let kernel: Kernel

    var top: String { bpffs + "/virt-tap" }
    var layout: String { top + "/\(MapLayout.version)" }

    func directory(_ id: AttachmentID) -> String { "\(layout)/\(id.text)" }
    func counters(_ id: AttachmentID) -> String { directory(id) + "/counters" }
    func rate(_ id: AttachmentID) -> String { directory(id) + "/rate" }
    func spec(_ id: AttachmentID) -> String { directory(id) + "/spec" }
    func link(_ id: AttachmentID, _ direction: Direction) -> String { "\(directory(id))/link-\(direction.rawValue)" }
    func program(_ id: AttachmentID, _ direction: Direction) -> String { "\(directory(id))/program-\(direction.rawValue)" }
    func qdisc(_ ifindex: UInt32) -> String { "\(layout)/qdisc-\(String(ifindex, radix: 16))" }
    var destinations: String { layout + "/destinations" }
    var destinationCounters: String { layout + "/destination-counters" }
    var destinationRates: String { layout + "/destination-rates" }
    var tunnels: String { layout + "/tunnels" }
    var sequences: String { layout + "/sequences" }
    var backlogs: String { layout + "/backlogs" }
    /// The map with the relay's device. The name is older than the word "relay": the layout of pins stays.
    var hops: String { layout + "/hops" }
    func relay(_ end: RelayEnd) -> String { layout + "/hop-\(end.pin)" }
    /// - Parameter ifindex: of our end of the monitor port.
    func port(_ ifindex: UInt32, _ part: String) -> String { "\(layout)/port-\(String(ifindex, radix: 16))-\(part)" }
    var lastCopies: String { layout + "/last-copies" }

    /// Checks that bpffs is mounted and that our directories in it are ours.
    /// - Throws: `bpffs-not-mounted`; `permission-denied` when a directory may be somebody else's.
    func requireMounted() throws {
        let result = clibbpf_is_bpffs(bpffs)
        if result == 1 {
            _ = try open(layout)
            return
        }
        let found = result == 0 ? "another file system is there" : ErrorText.of(-result)
        throw Failure(
            .bpffsNotMounted,
            "\(bpffs) is not a BPF file system (\(found)), so programs cannot be pinned there; mount it: mount -t bpf -o mode=700 bpf \(bpffs)"
        )
    }

    /// Makes the directories, for root alone.
    func makeLayout() throws {
        for path in [top, layout] {
            try makeDirectory(path)
            _ = try open(path)
        }
    }

    private func makeDirectory(_ path: String) throws {
        do {
            try kernel.makeDirectory(path)
        } catch let error as KernelError where error.number == EEXIST {}
    }

    /// Reads whether there is a pin or directory.
    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Opens a directory of ours, and checks each above it.
    /// - Returns: `nil` when it does not exist.
    func open(_ path: String) throws -> PinDirectory? {
        var directory = try PinDirectory.root(bpffs, kernel)
        for name in path.dropFirst(bpffs.count).split(separator: "/") {
            guard let next = try directory.directory(String(name)) else { return nil }
            directory = next
        }
        return directory
    }

    /// Reads whether there is a directory for this attachment.
    /// - Throws: `permission-denied` when it may be somebody else's.
    func has(_ id: AttachmentID) throws -> Bool { try open(directory(id)) != nil }

    func entries(in path: String) throws -> [PinDirectory.Entry] { try open(path)?.entries() ?? [] }

    func attachmentIDs() throws -> [AttachmentID] {
        try entries(in: layout).filter { $0.isDirectory || $0.isLink }.compactMap { AttachmentID(directory: $0.name) }
            .sorted { $0.text < $1.text }
    }

    /// Reads the attachments whose directory is ours.
    /// - Throws: `permission-denied` when one may be somebody else's.
    func attachments() throws -> [AttachmentID] {
        guard let layout = try open(layout) else { return [] }
        return try attachmentIDs().filter { try layout.directory($0.text) != nil }
    }

    /// Pins `object` at `path`. A pin that exists there is replaced atomically: a reader sees either the old or the new one.
    func pin(_ object: KernelObject, at path: String, kind: clibbpf_kind, _ undo: Undo) throws {
        let former = try kernel.open(path, kind)
        if exists(path) { try replacePin(object, at: path) } else { try kernel.pin(object, at: path) }
        undo.add {
            if let former { try replacePin(former, at: path) } else { try kernel.unlink(path) }
        }
    }

    private func replacePin(_ object: KernelObject, at path: String) throws {
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

    /// Removes an attachment's directory with everything in it.
    func remove(_ id: AttachmentID) throws { try open(layout)?.remove(id.text) }

    /// Removes everything of ours, other layouts included.
    func removeAll() throws { try open(bpffs)?.remove("virt-tap") }
}
