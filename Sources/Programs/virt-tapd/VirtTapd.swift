// SPDX-License-Identifier: LGPL-2.1-or-later

import ArgumentParser
import FilterCompiler
import TapDaemon

@main
enum VirtTapd {
    static func main() async {
        FilterChild.runIfAsked()
        await DaemonCommand.start()
    }
}
