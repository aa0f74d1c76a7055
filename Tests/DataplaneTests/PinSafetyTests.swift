// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import Dataplane
import DataplaneTestSupport
import Foundation
import TapModel
import Testing

extension KernelSuite {
    @Suite("Pins that may be somebody else's")
    struct PinSafetyTests {
        /// A directory outside bpffs with something in it that must stay.
        private final class Victim {
            let path = FileManager.default.temporaryDirectory.appending(path: "victim-\(UUID())").path

            init() throws {
                try FileManager.default.createDirectory(atPath: path + "/deep", withIntermediateDirectories: true)
                try Data("precious".utf8).write(to: URL(filePath: path + "/deep/file"))
            }

            deinit { try? FileManager.default.removeItem(atPath: path) }

            var isWhole: Bool { FileManager.default.contents(atPath: path + "/deep/file") == Data("precious".utf8) }
        }

        private func expectRefusal(_ bench: TestBench, naming path: String, _ what: String) {
            let dataplane = KernelDataplane(bpffs: bench.bpffs)
            let calls: [() throws -> Void] = [
                { _ = try dataplane.purge() }, { _ = try dataplane.attachments() },
                { try dataplane.setDestination("ids", kind: .interface, ifindex: 1) },
            ]
            for call in calls {
                let failure = #expect(throws: Failure.self) { try call() }
                #expect(failure?.reason == .permissionDenied)
                #expect(failure?.message.contains("\(path) \(what)") == true, "\(failure?.message ?? "")")
                #expect(failure?.message.contains("mount -t bpf -o mode=700") == true)
            }
        }

        @Test("Purge follows no link out of bpffs", arguments: ["virt-tap", "virt-tap/1"])
        func followsNoLink(_ name: String) throws {
            let bench = try TestBench()
            let victim = try Victim()
            let path = "\(bench.bpffs)/\(name)"
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: victim.path)
            expectRefusal(bench, naming: path, "is a symbolic link")
            #expect(victim.isWhole)
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path) == victim.path)
        }

        @Test("A link among our attachments has purge refuse before it removes anything", arguments: Mechanism.here)
        func refusesAsAWhole(_ mechanism: Mechanism) throws {
            let tapped = try TappedBench(mechanism)
            let desired = try tapped.attach()
            let victim = try Victim()
            for name in ["1/\(try tapped.desired(tap: "link").key.id)", "2"] {
                let path = "\(tapped.bench.bpffs)/virt-tap/\(name)"
                try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: victim.path)
                let failure = #expect(throws: Failure.self) { try tapped.dataplane.purge() }
                #expect(failure?.reason == .permissionDenied)
                #expect(failure?.message.contains("\(path) is a symbolic link") == true)
                #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
                #expect(victim.isWhole)
                try FileManager.default.removeItem(atPath: path)
            }
            #expect(throws: Never.self) { try tapped.dataplane.purge() }
        }

        @Test("An attachment's directory that is a link is neither read nor detached")
        func attachmentIsLink() throws {
            let tapped = try TappedBench(Mechanism.here[0])
            let desired = try tapped.attach()
            let layout = "\(tapped.bench.bpffs)/virt-tap/1"
            let other = try tapped.desired(tap: "other")
            try FileManager.default.createSymbolicLink(
                atPath: "\(layout)/\(other.key.id)", withDestinationPath: "\(layout)/\(desired.key.id)")
            #expect(#expect(throws: Failure.self) { try tapped.dataplane.detach(other.key.id) }?.reason == .permissionDenied)
            #expect(#expect(throws: Failure.self) { try tapped.dataplane.attachment(other.key.id) }?.reason == .permissionDenied)
            #expect(try tapped.dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
        }

        @Test("A directory of another user, or that others can write to, is refused", arguments: ["virt-tap", "virt-tap/1"])
        func refusesForeignDirectories(_ name: String) throws {
            let bench = try TestBench()
            let path = "\(bench.bpffs)/\(name)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let kept = path + "/kept"
            try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: false)
            UnitRights.withEverything { _ = chown(path, 65_534, 65_534) }
            expectRefusal(bench, naming: path, "belongs to user 65534")
            UnitRights.withEverything { _ = chown(path, 0, 0) }
            for mode in [0o777, 0o720, 0o1777] {
                chmod(path, mode_t(mode))
                expectRefusal(bench, naming: path, "can be written by others than root (mode \(String(mode, radix: 8)))")
            }
            #expect(FileManager.default.fileExists(atPath: kept))
            chmod(path, 0o700)
            #expect(throws: Never.self) { try KernelDataplane(bpffs: bench.bpffs).purge() }
            #expect(!FileManager.default.fileExists(atPath: path))
        }

        @Test("Another file system on our directory is refused")
        func refusesOtherFileSystems() throws {
            let bench = try TestBench()
            let path = "\(bench.bpffs)/virt-tap"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            try run("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", path)
            defer { _ = try? run("umount", path) }
            try FileManager.default.createDirectory(atPath: path + "/1", withIntermediateDirectories: false)
            expectRefusal(bench, naming: path, "is not in the BPF file system")
            #expect(FileManager.default.fileExists(atPath: path + "/1"))
        }

        @Test("A bpffs open to everybody serves while what is ours in it is root's")
        func acceptsStickyRoot() throws {
            let bench = try TestBench()
            chmod(bench.bpffs, 0o1777)
            let dataplane = KernelDataplane(bpffs: bench.bpffs)
            try dataplane.setDestination("ids", kind: .interface, ifindex: 1)
            #expect(try dataplane.destinations().map(\.label) == ["ids"])
            // Anybody could exchange our directory here.
            chmod(bench.bpffs, 0o777)
            #expect(#expect(throws: Failure.self) { try dataplane.attachments() }?.reason == .permissionDenied)
        }
    }
}
