// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport
import Foundation
import Glibc
import Synchronization

/// A sensor VM's end of its tap device: takes every frame out of it and counts it, as QEMU or vhost does for a guest.
///
/// On another processor than frames are written on, without a pause: a reader that sleeps would have to be woken for every frame, which
/// vhost under load does not either.
final class SensorGuest: CopyCount {
    let device: GuestDevice
    private let state = State()
    private let ended = DispatchSemaphore(value: 0)

    private final class State: Sendable {
        let frames = Atomic<UInt64>(0)
        let bytes = Atomic<UInt64>(0)
        let large = Atomic<UInt64>(0)
        let isEnding = Atomic<Bool>(false)
        let isElsewhere = Atomic<Bool>(false)
    }

    /// Called where frames are written.
    init(_ name: String) throws {
        device = try GuestDevice(name)
        try device.acceptOffloads()
        // As libvirt sets it for a guest's device.
        try run("tc", "qdisc", "replace", "dev", name, "root", "noqueue")
        // Room for a sample: what is measured is the way to the guest, and not whether the reader is given its processor.
        try ip("link set \(name) mtu 9000 txqueuelen 20000 up\n")
        // The thread that writes is on one processor, and so would be one that it makes.
        let own = try ProcessorClock.allowedProcessors()
        let others = (0..<sysconf(Int32(_SC_NPROCESSORS_ONLN))).map(String.init).filter { $0 != own }.joined(separator: ",")
        guard !others.isEmpty else {
            throw BenchmarkFailure("a sensor VM takes its frames on a processor of its own, and there is but one")
        }
        let moved = DispatchSemaphore(value: 0)
        // Not the device itself: it goes with this object, and must be gone when the next sample makes one.
        Thread.detachNewThread { [descriptor = device.descriptor, state, ended] in
            // PROCESS/task/THREAD
            let thread = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self").split(separator: "/").last
            if let thread, (try? run("taskset", "--pid", "--cpu-list", others, String(thread))) != nil {
                state.isElsewhere.store(true, ordering: .releasing)
            }
            moved.signal()
            Self.take(from: descriptor, state)
            ended.signal()
        }
        moved.wait()
        guard state.isElsewhere.load(ordering: .acquiring) else {
            stop()
            throw BenchmarkFailure("the sensor VM's thread could not be moved to another processor (taskset)")
        }
    }

    /// Ends the thread; the device goes with the object.
    func stop() {
        state.isEnding.store(true, ordering: .sequentiallyConsistent)
        ended.wait()
    }

    func count() -> FarEnd.Count {
        FarEnd.Count(
            frames: state.frames.load(ordering: .acquiring), bytes: state.bytes.load(ordering: .acquiring),
            large: state.large.load(ordering: .acquiring))
    }

    private static func take(from descriptor: CInt, _ state: State) {
        // struct virtio_net_hdr: the kind of segments is its second byte.
        let header = 10
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 64)
        defer { buffer.deallocate() }
        while !state.isEnding.load(ordering: .relaxed) {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            guard count > header else { continue }
            if buffer[1] != 0 { state.large.wrappingAdd(1, ordering: .relaxed) }
            state.bytes.wrappingAdd(UInt64(count - header), ordering: .relaxed)
            // Last: who waits for a number of frames sees their bytes then.
            state.frames.wrappingAdd(1, ordering: .releasing)
        }
    }
}
