// SPDX-License-Identifier: LGPL-2.1-or-later

import TapControl
import TapModel

/// `virt-tap test`.
extension Reconciler {
    /// Gives a test frame to each program of a domain's taps. What is not attached has no part in it: status says why.
    func test(_ call: TestCall) async -> [TestFrameResult] {
        var results: [TestFrameResult] = []
        let wanted = (domains[call.domain]?.view.verdicts ?? []).filter { call.tap == nil || $0.entry.name == call.tap }
        for desired in wanted.flatMap(\.desired) where attachments[desired.key.id] != nil {
            for direction in Direction.allCases where desired.options.direction.directions.contains(direction) {
                // Loading takes milliseconds: a guest's start does not wait for all of them.
                await Task.yield()
                let frame = TestFrame(token: call.token, number: UInt16(truncatingIfNeeded: results.count))
                var result = TestFrameResult(
                    number: frame.number, tap: desired.key.tap, origin: desired.key.origin,
                    device: devices[desired.key.ifindex]?.name ?? desired.interface.device,
                    alias: desired.interface.alias, direction: direction)
                do throws(Failure) {
                    try requireAtHook(desired, direction)
                    result.outcome = try dataplane.sendTestFrame(desired, direction, frame: frame.bytes)
                } catch {
                    result.message = error.message
                }
                results.append(result)
            }
        }
        return results
    }

    /// A program that stands at no hook copies nothing, whatever it does with a test frame.
    private func requireAtHook(_ desired: DesiredAttachment, _ direction: Direction) throws(Failure) {
        let now = try dataplane.attachment(desired.key.id)
        guard let now, now.satisfies(desired), case .attached = now.hooks[direction] else {
            throw Failure(
                .detachedRepeatedly,
                "its program is not at the hook of \(desired.interface.device); virt-tapd puts it back, see `virt-tap status`")
        }
    }
}
