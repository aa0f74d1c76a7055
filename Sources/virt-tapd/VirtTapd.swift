// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import TapDaemon

@main
enum VirtTapd {
    static func main() async {
        await DaemonCommand.main()
    }
}
