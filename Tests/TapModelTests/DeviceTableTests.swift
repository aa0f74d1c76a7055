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

    @Test func oneThatWasRenamedHasOneName() {
        var table = DeviceTable([device(5, "tap7")])
        table.update("vnet0", device(5, "vnet0"))
        #expect(table["tap7"] == nil && table[5]?.name == "vnet0" && table.all.count == 1)
    }
}
