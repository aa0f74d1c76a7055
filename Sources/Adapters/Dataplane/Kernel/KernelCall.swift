// SPDX-License-Identifier: LGPL-2.1-or-later

/// Each thing that the data path asks of the kernel and that can fail: what a fault can be put into.
enum KernelCall: String, CaseIterable, Sendable {
    case makeDirectory = "make a directory for pins"
    case createMap = "create a map"
    case updateMap = "write to a map"
    case readMap = "read a map"
    case freezeMap = "freeze a map"
    case pin = "pin an object"
    case open = "open a pin"
    case rename = "rename a pin"
    case unlink = "remove a pin"
    case lock = "lock the directory of pins"
    case identify = "identify a program"
    case load = "load a program"
    case createLink = "attach a program"
    case updateLink = "exchange a program"
    case detachLink = "detach a program"
    case queryHook = "list a device's programs"
    case createQdisc = "add a qdisc for filters"
    case destroyQdisc = "remove our qdisc"
    case attachFilter = "add a filter"
    case detachFilter = "remove a filter"
    case netlink = "ask rtnetlink"
    case testRun = "run a program on a test frame"
    case changeDevice = "make or change a device of ours"
}
