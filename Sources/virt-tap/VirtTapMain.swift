// SPDX-License-Identifier: LGPL-2.1-or-later

import TapCommands

@main
enum VirtTapMain {
    static func main() async {
        await VirtTap.start()
    }
}
