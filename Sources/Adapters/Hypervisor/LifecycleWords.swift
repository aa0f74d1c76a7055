// SPDX-License-Identifier: LGPL-2.1-or-later

/// libvirt's names for a lifecycle event and its detail, such as `started booted`, as `virsh event` has them in its own form.
///
/// Numbers that are newer than this table are given as numbers.
func lifecycleWords(event: Int32, detail: Int32) -> String {
    guard let entry = lifecycleEvents.element(event) else { return "lifecycle \(event) \(detail)" }
    return "\(entry.name) \(entry.details.element(detail) ?? String(detail))"
}

/// By the numbers of `virDomainEventType` and of the detail enumeration that belongs to each (libvirt/libvirt-domain.h).
private let lifecycleEvents: [(name: String, details: [String])] = [
    ("defined", ["added", "updated", "renamed", "from-snapshot"]),
    ("undefined", ["removed", "renamed"]),
    ("started", ["booted", "migrated", "restored", "from-snapshot", "wakeup"]),
    ("suspended", ["paused", "migrated", "ioerror", "watchdog", "restored", "from-snapshot", "api-error", "postcopy", "postcopy-failed"]),
    ("resumed", ["unpaused", "migrated", "from-snapshot", "postcopy", "postcopy-failed"]),
    ("stopped", ["shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from-snapshot"]),
    ("shutdown", ["finished", "guest", "host"]),
    ("pmsuspended", ["memory", "disk"]),
    ("crashed", ["panicked", "crashloaded"]),
]

extension Array {
    fileprivate func element(_ index: Int32) -> Element? {
        indices.contains(Int(index)) ? self[Int(index)] : nil
    }
}
