// SPDX-License-Identifier: LGPL-2.1-or-later

/// What evaluation needs to know of the host at one moment.
public struct HostState: Sendable {
    public var configuration: HostConfiguration
    /// Why no configuration is in force, neither the file nor the defaults; `configuration` is meaningless then. What was attached for a tap that
    /// still exists stays as it is, and nothing new is attached.
    public var unconfigured: Failure?
    public var devices: DeviceTable
    /// Which running domains claim which devices.
    public var claims: DeviceClaims
    /// The domains of this host, to find sensor VMs.
    public var directory: DomainDirectory
    /// How packets get to the other ends of tunnels.
    public var paths: [UnderlayQuery: Result<UnderlayPath, Failure>]
    /// Remote addresses that have or had a specific route, and the name of its device.
    public var specificRoutes: [[UInt8]: String]
    /// The monitor ports of the configuration by the name of the device at which sensors listen, or why a port is not installed; empty for
    /// commands, which install none.
    public var ports: [String: Result<MonitorPort, Failure>]
    /// Why copying to a destination is stopped to stay below the host's `<limit>`.
    public var overloads: [String: Failure]
    /// How programs are attached here, or why they cannot be.
    public var mechanism: Result<Mechanism, Failure>
    /// Set while `purge --now` holds all work until a reload.
    public var isPaused: Bool
    /// The result of compiling each filter expression; an expression that is missing here is still being compiled.
    public var filters: [String: Result<CompiledFilter, Failure>]
    /// Options whose programs the kernel's verifier refuses; with the same filter and fewer other options it may accept them.
    public var refusedOptions: [CopyOptions: Failure]

    public init(
        configuration: HostConfiguration, devices: DeviceTable, claims: DeviceClaims, directory: DomainDirectory = DomainDirectory(),
        paths: [UnderlayQuery: Result<UnderlayPath, Failure>] = [:], specificRoutes: [[UInt8]: String] = [:],
        ports: [String: Result<MonitorPort, Failure>] = [:], overloads: [String: Failure] = [:],
        mechanism: Result<Mechanism, Failure>,
        isPaused: Bool = false, filters: [String: Result<CompiledFilter, Failure>] = [:],
        refusedOptions: [CopyOptions: Failure] = [:], unconfigured: Failure? = nil
    ) {
        self.configuration = configuration
        self.devices = devices
        self.claims = claims
        self.directory = directory
        self.paths = paths
        self.specificRoutes = specificRoutes
        self.ports = ports
        self.overloads = overloads
        self.mechanism = mechanism
        self.isPaused = isPaused
        self.filters = filters
        self.refusedOptions = refusedOptions
        self.unconfigured = unconfigured
    }

    /// The specific route that a remote address has or had.
    func specificRoute(to remote: [UInt8]) -> SpecificRoute? {
        specificRoutes[remote].map { SpecificRoute(remote: remote, ifindex: devices[$0]?.index ?? 0) }
    }
}
