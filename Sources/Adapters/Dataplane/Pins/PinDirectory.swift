// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Glibc
import TapModel

/// An open directory in bpffs that was reached without following a link, and that only root (or our user) can write to.
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

    /// Opens the mount point, or the directory that is used instead. The operator named it, so links in its path are followed.
    static func root(_ path: String, _ kernel: Kernel) throws -> PinDirectory {
        let descriptor = try kernel.openDirectory(path)
        let directory = PinDirectory(owning: descriptor, path, kernel)
        // With the sticky bit others can add entries, but not rename or remove ours.
        try directory.requireOurs(allowsSticky: true)
        return directory
    }

    /// Opens a directory in this one.
    /// - Returns: `nil` when it does not exist.
    /// - Throws: `permission-denied` when it is not a directory, or not ours.
    func directory(_ name: String) throws -> PinDirectory? {
        let path = "\(path)/\(name)"
        do {
            let directory = PinDirectory(owning: try kernel.openDirectory(path, at: descriptor, name), path, kernel)
            try directory.requireOurs(allowsSticky: false)
            return directory
        } catch let error as KernelError where error.number == ENOENT {
            return nil
        } catch let error as KernelError where [ENOTDIR, ELOOP].contains(error.number) {
            throw Self.refusal(path, try entry(name)?.isLink == true ? "is a symbolic link" : "is not a directory")
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
            throw Self.refusal(path, "can be written by others than root (mode \(String(information.st_mode & 0o7777, radix: 8)))")
        }
    }

    private static func refusal(_ path: String, _ what: String) -> Failure {
        Failure(
            .permissionDenied,
            "\(path) \(what), so it is not trusted and nothing in it was read or changed; find out who made it, remove it, "
                + "and mount bpffs for root alone: mount -t bpf -o mode=700 bpf /sys/fs/bpf")
    }

    func isSame(as other: PinDirectory) throws -> Bool {
        var (mine, its) = (stat(), stat())
        try kernel.check(.open, path) { fstat(descriptor, &mine) }
        try kernel.check(.open, path) { fstat(other.descriptor, &its) }
        return mine.st_dev == its.st_dev && mine.st_ino == its.st_ino
    }

    /// Reads the entries, in no order.
    func entries() throws -> [Entry] {
        guard let stream = fdopendir(try kernel.openDirectory(path, at: descriptor, ".")) else {
            throw KernelError(call: .open, number: errno, subject: path)
        }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while let next = readdir(stream) {
            let name = withUnsafeBytes(of: &next.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            // An entry that went meanwhile is left out.
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

    /// Checks everything below before it is removed, so that a removal is refused as a whole and not half way.
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

    /// Removes a directory in this one with everything in it. It is no error when it does not exist.
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
    /// Whether the lock was acquired before. It is then acquired again where the directory was replaced by another.
    private(set) var isRequested = false

    /// Makes the directories and locks them. Only reads them when they are locked already.
    /// - Throws: `attach-failed` when another process has the lock.
    func acquire(_ pins: PinTree) throws {
        // Somebody may remove the directory after it was opened.
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

    /// Gives the lock up, and does not acquire it again.
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
                "another virt-tapd uses this bpffs (\(directory.path) is locked); stop it first (`lslocks` names the process)")
        }
        held = directory
    }
}
