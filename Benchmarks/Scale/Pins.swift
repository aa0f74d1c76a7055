// SPDX-License-Identifier: LGPL-2.1-or-later

import Foundation

/// What the kernel holds, as bpffs shows it: quicker than asking the daemon, and not its own word.
struct Pins {
    private static let layout = "/sys/fs/bpf/virt-tap/1"

    private func attachments() -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: Self.layout)) ?? []).filter { $0.count == 56 }
    }

    private func isComplete(_ attachment: String) -> Bool {
        ["inbound", "outbound"].allSatisfy { access("\(Self.layout)/\(attachment)/link-\($0)", F_OK) == 0 }
    }

    /// How many attachments have both links.
    func complete() -> Int { attachments().count(where: isComplete) }

    /// The ifindex stands after the domain's UUID.
    private func attachment(device: UInt32) -> String? {
        let number = String(format: "%08x", device)
        return attachments().first { $0.dropFirst(32).hasPrefix(number) }
    }

    func isComplete(device: UInt32) -> Bool { attachment(device: device).map(isComplete) ?? false }

    /// Which map holds the spec: another one after each change.
    func spec(device: UInt32) -> UInt? {
        guard let attachment = attachment(device: device) else { return nil }
        return inode("\(Self.layout)/\(attachment)/spec")
    }

    /// Every pin with its inode: one that was made anew has another.
    func identities() -> Set<String> {
        var identities: Set<String> = []
        for attachment in attachments() {
            for pin in (try? FileManager.default.contentsOfDirectory(atPath: "\(Self.layout)/\(attachment)")) ?? [] {
                identities.insert("\(attachment)/\(pin) \(inode("\(Self.layout)/\(attachment)/\(pin)") ?? 0)")
            }
        }
        return identities
    }

    private func inode(_ path: String) -> UInt? {
        var information = stat()
        return stat(path, &information) == 0 ? UInt(information.st_ino) : nil
    }
}
