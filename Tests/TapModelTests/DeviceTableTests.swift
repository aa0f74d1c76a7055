// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel
import Testing

@Suite("Devices of which one is looked up anew")
struct DeviceTableTests {
    private func device(_ index: UInt32, _ name: String, hasAddress: Bool = false, isUp: Bool = true) -> HostDevice {
        var device = HostDevice(index: index, name: name, mac: nil, kind: .tap)
        device.hasAddress = hasAddress
        device.isUp = isUp
        return device
    }

    @Test func aNewOneIsFoundByNameAndIndex() {
        var table = DeviceTable()
        table.update("vnet0", device(5, "vnet0"))
        #expect(table["vnet0"]?.index == 5 && table[5]?.name == "vnet0" && table.all.count == 1)
    }

    @Test func oneThatIsGoneIsFoundByNeither() {
        var table = DeviceTable([device(5, "vnet0"), device(6, "vnet1")])
        table.update("vnet0", nil)
        #expect(table["vnet0"] == nil && table[5] == nil && table.all.count == 1)
        table.update("never", nil)
        #expect(table.all.count == 1)
    }

    @Test func anotherOneOfTheSameNameTakesItsPlace() {
        var table = DeviceTable([device(5, "vnet0", hasAddress: true)])
        table.update("vnet0", device(9, "vnet0"))
        #expect(table[5] == nil && table[9]?.name == "vnet0" && table["vnet0"]?.hasAddress == false)
    }

    @Test func theSameOneKeepsItsAddresses() {
        var table = DeviceTable([device(5, "vnet0", hasAddress: true)])
        table.update("vnet0", device(5, "vnet0", isUp: false))
        #expect(table["vnet0"]?.hasAddress == true && table["vnet0"]?.isUp == false)
    }

    @Test func otherNamesAndPlacesFollowTheDevice() {
        var bridge = device(3, "br0")
        bridge.alternativeNames = ["uplink-of-all-guests"]
        var port = device(5, "eth1")
        port.master = 3
        var vlan = device(6, "eth1.7")
        vlan.link = 5
        var near = device(7, "mon0")
        (near.kind, near.link) = (.other("veth"), 8)
        var table = DeviceTable([bridge, port, vlan, near])
        #expect(table.device(called: "uplink-of-all-guests")?.index == 3 && table["uplink-of-all-guests"] == nil)
        #expect(table.ports(of: bridge).map(\.name) == ["eth1"] && table.uppers(of: bridge).isEmpty)
        #expect(table.uppers(of: port).map(\.name) == ["eth1.7"] && table.ports(of: port).isEmpty)
        // The other end of a pair does not stand on it.
        #expect(table.uppers(of: device(8, "mon1")).isEmpty && near.peer == 8)
        port.master = nil
        table.update("eth1", port)
        table.update("eth1.7", nil)
        #expect(table.ports(of: bridge).isEmpty && table.uppers(of: port).isEmpty)
        table.update("br0", device(3, "br0"))
        #expect(table.device(called: "uplink-of-all-guests") == nil && table.device(called: "br0")?.index == 3)
    }

    @Test func oneThatWasRenamedHasOneName() {
        var table = DeviceTable([device(5, "tap7")])
        table.update("vnet0", device(5, "vnet0"))
        #expect(table["tap7"] == nil && table[5]?.name == "vnet0" && table.all.count == 1)
    }
}
