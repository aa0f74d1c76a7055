// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser

/// How a shell completes a domain's name: only libvirt knows them.
enum DomainCompletion {
    static let kind = CompletionKind.shellCommand("virsh list --all --name 2>/dev/null")
}
