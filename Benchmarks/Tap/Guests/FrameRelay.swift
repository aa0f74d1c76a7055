// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation
import Glibc
import Synchronization

/// Carries frames from one tap device to another with their virtio headers, as QEMU does between a guest's network card and
/// the host's tap device.
final class FrameRelay: Sendable {
    private let source: GuestDevice
    private let sink: GuestDevice
    private let isEnding = Atomic<Bool>(false)
    private let carried = Atomic<UInt64>(0)
    private let ended = DispatchSemaphore(value: 0)

    init(from source: GuestDevice, to sink: GuestDevice) {
        self.source = source
        self.sink = sink
        Thread.detachNewThread { [self] in
            run()
            ended.signal()
        }
    }

    /// How many frames the sink has received.
    var frames: UInt64 { carried.load(ordering: .sequentiallyConsistent) }

    func stop() {
        isEnding.store(true, ordering: .sequentiallyConsistent)
        ended.wait()
    }

    private func run() {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 64)
        defer { buffer.deallocate() }
        while !isEnding.load(ordering: .relaxed) {
            let count = read(source.descriptor, buffer.baseAddress, buffer.count)
            if count > 0 {
                if write(sink.descriptor, buffer.baseAddress, count) == count { carried.wrappingAdd(1, ordering: .relaxed) }
            } else {
                var entry = pollfd(fd: source.descriptor, events: Int16(POLLIN), revents: 0)
                poll(&entry, 1, 50)
            }
        }
    }
}
