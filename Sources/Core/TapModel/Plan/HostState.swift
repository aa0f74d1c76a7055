// SPDX-License-Identifier: LGPL-2.1-or-later

/// What evaluation needs to know of the host at one moment.
public struct HostState: Sendable {
    public var configuration: HostConfiguration
    /// Why there is no configuration, good or default: what this host wants is not known then, and `configuration` says nothing of it.
    /// What was attached for a tap that is still wished stays as it is, and nothing is attached anew.
    public var unconfigured: Failure?
    public var devices: DeviceTable
    /// What running domains say is theirs.
    public var claims: DeviceClaims
    /// Which domains there are, to find those that copies go to.
    public var directory: DomainDirectory
    /// How packets get to the other ends of tunnels.
    public var paths: [UnderlayQuery: Result<UnderlayPath, Failure>]
    /// Remote addresses that are known to have, or have had, a way of their own besides the default route: the device.
    public var specificRoutes: [[UInt8]: String]
    /// The monitor ports of the configuration as virt-tapd has them, by the name of the device that sensors listen at, or why it has not;
    /// none for somebody who only looks.
    public var ports: [String: Result<MonitorPort, Failure>]
    /// Why copying to a destination is stopped to stay below the host's `<limit>`.
    public var overloads: [String: Failure]
    /// How programs are attached here, or why they cannot be.
    public var mechanism: Result<Mechanism, Failure>
    /// Set while `purge --now` holds all work until a reload.
    public var isPaused: Bool
    /// What libpcap said of each filter expression that was asked about; one that is not here is still being compiled.
    public var filters: [String: Result<CompiledFilter, Failure>]
    /// Programs that the kernel's verifier does not take: with the same filter and fewer other options it may.
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

    /// The way besides the default route that a remote address has or had.
    func specificRoute(to remote: [UInt8]) -> SpecificRoute? {
        specificRoutes[remote].map { SpecificRoute(remote: remote, ifindex: devices[$0]?.index ?? 0) }
    }
}
