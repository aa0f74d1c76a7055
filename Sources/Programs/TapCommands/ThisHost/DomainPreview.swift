// SPDX-License-Identifier: LGPL-2.1-or-later

import FilterCompiler
import TapModel

/// What would become of a domain's taps if it ran on this host.
struct DomainPreview {
    let domain: DomainDefinition
    let verdicts: [TapVerdict]

    /// - Parameter domain: as its XML describes it, here or on another host, running or not. Its devices need not exist.
    init(_ domain: DomainDefinition, on host: HostState) {
        var host = host
        self.domain = Self.running(domain, on: &host)
        verdicts = TapEvaluation.evaluate(self.domain, on: host)
    }

    /// Whether every tap that is not switched off would be active.
    var isGood: Bool {
        verdicts.allSatisfy { verdict in
            switch verdict.outcome {
            case .refused(let failure): failure.reason.state == .disabled
            case .evaluated(let destination, let interfaces):
                // Where a sensor VM is cannot be known here.
                (destination.failure == nil || destination.failure?.reason == .libvirtDisconnected)
                    && interfaces.allSatisfy {
                        if case .attach = $0.result { true } else { false }
                    }
            }
        }
    }

    func lines(file: String) -> [String] {
        let name = domain.name.printable
        guard !verdicts.isEmpty else { return ["\(file): domain \(name) has no taps"] }
        return verdicts.flatMap { verdict -> [String] in
            let tap = "\(file): \(name)/\(verdict.entry.name)"
            switch verdict.outcome {
            case .refused(let failure):
                return ["\(tap): not copied: \(failure.message.printable) (\(failure.reason.rawValue))"]
            case .evaluated(let destination, let interfaces):
                return interfaces.map { interface in
                    let place = "\(tap): \(Self.name(interface.interface))"
                    switch interface.result {
                    case .attach(let desired):
                        let direction = desired.options.direction == .both ? "both directions" : desired.options.direction.rawValue
                        let what = "\(place): \(direction) would be copied to \(destination.label.printable)"
                        return destination.failure.map { what + ", but: \($0.message.printable) (\($0.reason.rawValue))" } ?? what
                    case .refused(let failure):
                        return "\(place): not copied: \(failure.message.printable) (\(failure.reason.rawValue))"
                    }
                }
            }
        }
    }

    private static func name(_ interface: DomainInterface) -> String {
        let names = [interface.alias, interface.mac?.description].compactMap { $0 }
        return (names.isEmpty ? interface.path : names.joined(separator: " ")).printable
    }

    /// Whether a device looks as libvirt makes it for that interface.
    private static func isLibvirts(_ device: HostDevice, of interface: DomainInterface) -> Bool {
        let address = device.kind == .macvtap ? interface.mac : interface.mac?.tapSide
        return address == device.mac && DeviceOwnership.isPlausible(device, for: interface)
    }

    // MARK: As if it ran

    /// The domain with the devices that libvirt would make for it, which are added to the host's.
    private static func running(_ domain: DomainDefinition, on host: inout HostState) -> DomainDefinition {
        var domain = domain
        var devices = Array(host.devices.all)
        var index = (devices.map(\.index).max() ?? 0) + 1
        for position in domain.interfaces.indices where domain.interfaces[position].type.hasDevice {
            let interface = domain.interfaces[position]
            if let name = interface.device, let device = host.devices[name] {
                // The domain runs here, or somebody wrote this name by hand: then the real device counts.
                // A name that libvirt chose says nothing about the domain's next run, or about another host.
                if !InterfaceSelector.isGenerated(name) || Self.isLibvirts(device, of: interface) {
                    // What was made for it beforehand QEMU opens when the domain starts.
                    if let place = devices.firstIndex(where: { $0.index == device.index }) { devices[place].isOpen = true }
                    continue
                }
            }
            let mac = interface.mac ?? MACAddress(bytes: [0x52, 0x54, 0, 0, 0, UInt8(truncatingIfNeeded: position)])
            let isDirect = interface.type == .direct
            let written = interface.device.flatMap { InterfaceSelector.isGenerated($0) ? nil : $0 }
            let device = HostDevice(
                index: index, name: written ?? "(interface \(position + 1))",
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

/// Compiles the filters of taps, to see whether they are any. Needs no privileges.
struct FilterCheck: Sendable {
    /// What an expression comes to.
    var compile: @Sendable (String) async -> Result<CompiledFilter, Failure>

    /// By libpcap, in children as the daemon has them.
    static let system: FilterCheck = {
        // Whether this process could have a filter see tags says nothing about the daemon.
        let compiler = FilterCompiler(requiresTags: false)
        return FilterCheck { expression in
            do throws(Failure) {
                return .success(try await compiler.compile(expression))
            } catch {
                return .failure(error)
            }
        }
    }()

    /// For `HostState.filters`.
    func results(of taps: some Sequence<TapEntry>) async -> [String: Result<CompiledFilter, Failure>] {
        var results: [String: Result<CompiledFilter, Failure>] = [:]
        for case .valid(let tap) in taps {
            guard let expression = tap.filter, results[expression] == nil else { continue }
            results[expression] = await compile(expression)
        }
        return results
    }
}
