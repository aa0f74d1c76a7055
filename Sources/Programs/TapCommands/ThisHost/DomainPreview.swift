// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapModel

/// Evaluates a domain's taps as if the domain ran on this host.
struct DomainPreview {
    let domain: DomainDefinition
    let verdicts: [TapVerdict]

    /// - Parameter domain: a domain of this host or another one, running or not. Its devices need not exist.
    init(_ domain: DomainDefinition, on host: HostState) {
        var host = host
        self.domain = Self.running(domain, on: &host)
        verdicts = TapEvaluation.evaluate(self.domain, on: host)
    }

    /// Whether every enabled tap would be active.
    var isGood: Bool {
        verdicts.allSatisfy { verdict in
            switch verdict.outcome {
            case .refused(let failure): failure.reason.state == .disabled
            case .evaluated(let destination, let interfaces):
                // Without libvirt it is not known where a sensor VM runs.
                (destination.failure == nil || destination.failure?.reason == .libvirtDisconnected)
                    && interfaces.allSatisfy {
                        if case .attach = $0.result { true } else { false }
                    }
            }
        }
    }

    func lines(file: String) -> [String] {
        let name = domain.name.printable
        guard !verdicts.isEmpty else { return ["\(file): domain \(name) has no tap"] }
        return verdicts.flatMap { verdict -> [String] in
            let tap = "\(file): \(name)/\(verdict.entry.name)"
            switch verdict.outcome {
            case .refused(let failure):
                return ["\(tap): not copied: \(failure.message.printable) (\(failure.reason.rawValue))"]
            case .evaluated(let destination, let interfaces):
                return interfaces.map { interface in
                    let subject = "\(tap): \(Self.name(interface.interface))"
                    switch interface.result {
                    case .attach(let desired):
                        let direction = desired.options.direction == .both ? "both directions" : desired.options.direction.rawValue
                        let text = "\(subject): \(direction) would be copied to \(destination.label.printable)"
                        return destination.failure.map { text + ", but: \($0.message.printable) (\($0.reason.rawValue))" } ?? text
                    case .refused(let failure):
                        return "\(subject): not copied: \(failure.message.printable) (\(failure.reason.rawValue))"
                    }
                }
            }
        }
    }

    private static func name(_ interface: DomainInterface) -> String {
        let names = [interface.alias, interface.mac?.description].compactMap { $0 }
        return (names.isEmpty ? interface.path : names.joined(separator: " ")).printable
    }

    /// Whether libvirt may have made the device for the interface.
    private static func belongs(_ device: HostDevice, to interface: DomainInterface) -> Bool {
        let address = device.kind == .macvtap ? interface.mac : interface.mac?.tapSide
        return address == device.mac && DeviceOwnership.isPlausible(device, for: interface)
    }

    // MARK: The domain as if it ran

    /// The domain with the devices that libvirt would make for it. They are added to the devices of `host`.
    private static func running(_ domain: DomainDefinition, on host: inout HostState) -> DomainDefinition {
        var domain = domain
        var devices = Array(host.devices.all)
        var index = (devices.map(\.index).max() ?? 0) + 1
        for position in domain.interfaces.indices where domain.interfaces[position].type.hasDevice {
            let interface = domain.interfaces[position]
            if let name = interface.device, let device = host.devices[name] {
                // If the domain runs here, or its XML sets the device's name, the device that exists counts.
                // A name that libvirt chose on another host, or for an earlier run, means nothing.
                if !InterfaceSelector.isGenerated(name) || Self.belongs(device, to: interface) {
                    // QEMU opens a device that exists already when the domain starts.
                    if let position = devices.firstIndex(where: { $0.index == device.index }) { devices[position].isOpen = true }
                    continue
                }
            }
            let mac = interface.mac ?? MACAddress(bytes: [0x52, 0x54, 0, 0, 0, UInt8(truncatingIfNeeded: position)])
            let isDirect = interface.type == .direct
            let fixedName = interface.device.flatMap { InterfaceSelector.isGenerated($0) ? nil : $0 }
            let device = HostDevice(
                index: index, name: fixedName ?? "(interface \(position + 1))",
                mac: isDirect ? mac : mac?.tapSide, kind: isDirect ? .macvtap : .tap)
            index += 1
            devices.append(device)
            domain.interfaces[position].mac = mac
            domain.interfaces[position].device = device.name
        }
        host.devices = DeviceTable(devices)
        return domain
    }
}

/// Compiles the filters of taps to see whether they are valid. Needs no privileges.
struct FilterCheck: Sendable {
    /// Compiles one expression.
    var compile: @Sendable (String) async -> Result<CompiledFilter, Failure>

    /// Compiles with libpcap in a confined child process, as virt-tapd does.
    static let system: FilterCheck = {
        // The daemon may be able to load filters that see VLAN tags even if this process is not.
        let compiler = FilterCompiler(requiresTags: false)
        return FilterCheck { expression in
            do throws(Failure) {
                return .success(try await compiler.compile(expression))
            } catch {
                return .failure(error)
            }
        }
    }()

    /// Compiles each filter of the taps once, for `HostState.filters`.
    func results(of taps: some Sequence<TapEntry>) async -> [String: Result<CompiledFilter, Failure>] {
        var results: [String: Result<CompiledFilter, Failure>] = [:]
        for case .valid(let tap) in taps {
            guard let expression = tap.filter, results[expression] == nil else { continue }
            results[expression] = await compile(expression)
        }
        return results
    }
}
