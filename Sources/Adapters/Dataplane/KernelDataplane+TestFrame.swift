// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
public import TapModel

/// `virt-tap test`.
extension KernelDataplane {
    /// Loads a program from the same object, with the same constants and the same filter as the attached one, and runs it on the frame. It
    /// works on the same destinations, relay and tunnels. Only the counters are its own, so that the tap's traffic does not hide the outcome.
    public func sendTestFrame(_ desired: DesiredAttachment, _ direction: Direction, frame: [UInt8]) throws(Failure) -> TestFrameOutcome {
        try reporting("testing tap \"\(desired.key.tap)\" of \(desired.domainName) on \(desired.interface.device)") {
            if let fate = try run(desired, direction, frame) { return TestFrameOutcome(fate: fate) }
            var open = desired
            open.options.sampling = nil
            open.options.once = false
            if let fate = try run(open, direction, frame) { return TestFrameOutcome(fate: fate, leftOutBy: .sample) }
            open.options.filter = nil
            open.filter = nil
            guard let fate = try run(open, direction, frame) else {
                throw Failure(.attachFailed, "its program did not copy the frame, although neither filter nor sampling excludes it")
            }
            return TestFrameOutcome(fate: fate, leftOutBy: .filter)
        }
    }

    /// - Returns: `nil` when the tap chose not to copy the frame.
    private func run(_ desired: DesiredAttachment, _ direction: Direction, _ frame: [UInt8]) throws -> TestFrameOutcome.Fate? {
        let counters = try MapLayout.counters.make(kernel)
        var one = desired
        one.options.direction = direction == .inbound ? .inbound : .outbound
        let destination = try readDestination(of: one)
        try installRelay(for: one, destination.maps)
        let programs = try loadPrograms(one, destination, desired.options.rate == nil ? nil : createRateMap(), counters)
        guard let program = programs[direction] else { return nil }
        try kernel.testRun(program.object, frame: frame, ifindex: desired.key.ifindex)
        let counts = try CounterMap(object: counters, kernel: kernel).direction(direction)
        if counts.copied.packets > 0 { return .copied }
        if counts.rateLimited.packets > 0 { return .rateLimited }
        return counts.errors.packets > 0 ? .errors : nil
    }
}
