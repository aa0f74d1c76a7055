// SPDX-License-Identifier: LGPL-2.1-or-later

/// The version of this build of virt-tap, one for daemon, command and hook.
public let virtTapVersion = "0.1.0"
