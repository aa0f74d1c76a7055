// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapCommands

@main
enum VirtTapMain {
    static func main() async {
        FilterChild.runIfAsked()
        await ExaminationChild.runIfAsked()
        await VirtTap.start()
    }
}
