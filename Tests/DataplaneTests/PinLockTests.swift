// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import TapModel
import Testing

@testable import Dataplane

extension KernelSuite {
    @Suite("One writer per bpffs")
    struct PinLockTests {
        private func expectLocked(_ body: () throws -> Void) {
            let failure = #expect(throws: Failure.self) { try body() }
            #expect(failure?.reason == .attachFailed)
            #expect(failure?.message.contains("another virt-tapd uses this bpffs") == true, "\(failure?.message ?? "")")
        }

        @Test("The lock keeps others from locking and purging, and ends with its holder")
        func excludes() throws {
            let bench = try TestBench()
            let other = KernelDataplane(bpffs: bench.bpffs)
            do {
                let first = KernelDataplane(bpffs: bench.bpffs)
                try first.lock()
                try first.lock()
                try first.setDestination("ids", kind: .interface, ifindex: 1)
                expectLocked { try other.lock() }
                expectLocked { _ = try other.purge() }
                #expect(try other.destinations().map(\.label) == ["ids"])
                withExtendedLifetime(first) {}
            }
            try other.lock()
            #expect(try other.purge() == 0)
        }

        @Test("The lock is acquired again where the directory was replaced")
        func renews() throws {
            let bench = try TestBench()
            let (first, other) = (KernelDataplane(bpffs: bench.bpffs), KernelDataplane(bpffs: bench.bpffs))
            try first.lock()
            _ = try first.purge()
            #expect(!FileManager.default.fileExists(atPath: bench.bpffs + "/virt-tap"))
            try first.setDestination("ids", kind: .interface, ifindex: 1)
            expectLocked { try other.lock() }

            _ = try first.purge()
            try other.lock()
            expectLocked { try first.setDestination("ids", kind: .interface, ifindex: 1) }
        }

        @Test("A purge releases a lock that it acquired for itself")
        func purgeGivesBack() throws {
            let bench = try TestBench()
            let (first, other) = (KernelDataplane(bpffs: bench.bpffs), KernelDataplane(bpffs: bench.bpffs))
            try first.setDestination("ids", kind: .interface, ifindex: 1)
            _ = try first.purge()
            try first.setDestination("ids", kind: .interface, ifindex: 1)
            try other.lock()
            #expect(try other.destinations().map(\.label) == ["ids"])
        }

        @Test("When bpffs is mounted anew the lock follows, and nothing copies twice", arguments: Mechanism.here)
        func followsMount(_ mechanism: Mechanism) throws {
            var tapped = try TappedBench(mechanism)
            let folder = FileManager.default.temporaryDirectory.appending(path: "bpffs-\(UUID())").path
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try run("mount", "-t", "bpf", "-o", "mode=700", "bpf", folder)
            defer { _ = try? run("umount", folder) }
            let dataplane = KernelDataplane(bpffs: folder)
            tapped.dataplane = dataplane
            try dataplane.lock()
            try dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
            try tapped.attach()
            // The lock keeps the mount busy.
            try run("umount", "-l", folder)
            #expect(#expect(throws: Failure.self) { try dataplane.attachments() }?.reason == .bpffsNotMounted)
            try run("mount", "-t", "bpf", "-o", "mode=700", "bpf", folder)
            #expect(try dataplane.attachments() == [])
            try dataplane.setDestination("ids", kind: .interface, ifindex: tapped.bench.destinationIndex)
            let desired = try tapped.attach()
            #expect(try dataplane.attachment(desired.key.id)?.satisfies(desired) == true)
            #expect(try tapped.exchange(3).areWhole)
            #expect(tapped.bench.sensor.receive(7).count == 6)
            expectLocked { try KernelDataplane(bpffs: folder).lock() }
            _ = try dataplane.purge()
            tapped.dataplane = KernelDataplane(bpffs: tapped.bench.bpffs)
            // Released, so that the folder can be unmounted.
            dataplane.pinLock.release()
        }
    }
}
