// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// A directory in bpffs, held open: reached without following a link, and found to be root's (or our user's) alone.
///
/// A bpffs that was mounted by hand is open to everybody, who may then make a `virt-tap` of their own there, with links
/// in it that lead anywhere. What is in a directory that only root can write to was put there by root.
final class PinDirectory {
    struct Entry {
        let name: String
        let isDirectory: Bool
        let isLink: Bool
    }

    let descriptor: CInt
    let path: String
    private let kernel: Kernel

    private init(owning descriptor: CInt, _ path: String, _ kernel: Kernel) {
        self.descriptor = descriptor
        self.path = path
        self.kernel = kernel
    }

    deinit { close(descriptor) }

    /// The mount point, or what stands for it: the operator named it, so links on the way there are followed.
    static func root(_ path: String, _ kernel: Kernel) throws -> PinDirectory {
        let descriptor = try kernel.openDirectory(path)
        let directory = PinDirectory(owning: descriptor, path, kernel)
        // With the sticky bit others can add to it, and not rename or remove what is ours.
        try directory.requireOurs(allowsSticky: true)
        return directory
    }

    /// - Returns: `nil` when nothing of that name is here.
    /// - Throws: `permission-denied` when it is no directory, or not one that is ours.
    func directory(_ name: String) throws -> PinDirectory? {
        let path = "\(path)/\(name)"
        do {
            let directory = PinDirectory(owning: try kernel.openDirectory(path, at: descriptor, name), path, kernel)
            try directory.requireOurs(allowsSticky: false)
            return directory
        } catch let error as KernelError where error.number == ENOENT {
            return nil
        } catch let error as KernelError where [ENOTDIR, ELOOP].contains(error.number) {
            throw Self.refusal(path, try entry(name)?.isLink == true ? "is a symbolic link" : "is no directory")
        }
    }

    private func requireOurs(allowsSticky: Bool) throws {
        var information = stat()
        try kernel.check(.open, path) { fstat(descriptor, &information) }
        guard try kernel.check(.open, path, { clibbpf_in_bpffs(descriptor) }) == 1 else {
            throw Self.refusal(path, "is not in the BPF file system: something else is mounted there")
        }
        guard information.st_uid == 0 || information.st_uid == geteuid() else {
            throw Self.refusal(path, "belongs to user \(information.st_uid)")
        }
        let isOpen = information.st_mode & (S_IWGRP | S_IWOTH) != 0
        guard !isOpen || allowsSticky && information.st_mode & S_ISVTX != 0 else {
            throw Self.refusal(path, "can be written to by others than root (mode \(String(information.st_mode & 0o7777, radix: 8)))")
        }
    }

    private static func refusal(_ path: String, _ what: String) -> Failure {
        Failure(
            .permissionDenied,
            "\(path) \(what), so it may be anybody's, and nothing in it was read or changed; find out who made it, remove it, "
                + "and have bpffs mounted for root alone: mount -t bpf -o mode=700 bpf /sys/fs/bpf")
    }

    func isSame(as other: PinDirectory) throws -> Bool {
        var (mine, its) = (stat(), stat())
        try kernel.check(.open, path) { fstat(descriptor, &mine) }
        try kernel.check(.open, path) { fstat(other.descriptor, &its) }
        return mine.st_dev == its.st_dev && mine.st_ino == its.st_ino
    }

    /// What is here, in no order.
    func entries() throws -> [Entry] {
        guard let stream = fdopendir(try kernel.openDirectory(path, at: descriptor, ".")) else {
            throw KernelError(call: .open, number: errno, subject: path)
        }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while let next = readdir(stream) {
            let name = withUnsafeBytes(of: &next.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            // What went meanwhile is not there.
            if name != ".", name != "..", let entry = try entry(name) { entries.append(entry) }
        }
        return entries
    }

    private func entry(_ name: String) throws -> Entry? {
        var information = stat()
        guard fstatat(descriptor, name, &information, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return nil }
            throw KernelError(call: .open, number: errno, subject: "\(path)/\(name)")
        }
        let kind = information.st_mode & S_IFMT
        return Entry(name: name, isDirectory: kind == S_IFDIR, isLink: kind == S_IFLNK)
    }

    /// Looks at everything below, so that what is to be removed as a whole is not begun with.
    /// - Throws: `permission-denied` when there is a link, or a directory that is not ours.
    func requireOursThroughout() throws {
        for entry in try entries() {
            if entry.isDirectory {
                try directory(entry.name)?.requireOursThroughout()
            } else if entry.isLink {
                throw Self.refusal("\(path)/\(entry.name)", "is a symbolic link")
            }
        }
    }

    /// Removes a directory that is in this one, with everything in it; no error when it is not there.
    func remove(_ name: String) throws {
        guard let child = try directory(name) else { return }
        for entry in try child.entries() {
            if entry.isDirectory { try child.remove(entry.name) } else { try kernel.unlink(child.path, at: child.descriptor, entry.name) }
        }
        try kernel.removeDirectory(path, at: descriptor, name)
    }
}

/// A lock on the directory of pins, so that two daemons do not undo each other's work.
///
/// It ends with the process, however that ends.
final class PinLock {
    private var held: PinDirectory?
    /// Whether it was ever taken, and so is to be taken again should the directory be another one.
    private(set) var isRequested = false

    /// Makes the directories and locks them. No more than a look when they are locked already.
    func acquire(_ pins: PinTree) throws {
        // Somebody may remove what has just been opened.
        for _ in 0..<10 {
            try pins.makeLayout()
            guard let found = try pins.open(pins.top) else { continue }
            if try held?.isSame(as: found) != true { try lock(found, pins) }
            if let now = try pins.open(pins.top), try now.isSame(as: found) {
                isRequested = true
                return
            }
        }
        throw KernelError(call: .lock, number: EAGAIN, subject: pins.top)
    }

    func release() {
        held = nil
        isRequested = false
    }

    private func lock(_ directory: PinDirectory, _ pins: PinTree) throws {
        do {
            try pins.kernel.check(.lock, directory.path) { flock(directory.descriptor, LOCK_EX | LOCK_NB) }
        } catch let error as KernelError where error.number == EWOULDBLOCK {
            throw Failure(
                .attachFailed,
                "another virt-tapd uses this bpffs (\(directory.path) is locked); stop that one first: `lslocks` names the process")
        }
        held = directory
    }
}
