// SPDX-License-Identifier: LGPL-2.1-or-later

@main
struct FilterFuzz {
    static func main() {}
}
