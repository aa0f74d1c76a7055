// SPDX-License-Identifier: LGPL-2.1-or-later

/// The host's configuration, /etc/virt-tap/config.xml; the defaults are those of a host without the file.
public struct HostConfiguration: Hashable, Sendable {
    /// `<libvirt uri>`; the command line's `--connect` wins; `nil`: `LIBVIRT_DEFAULT_URI`, else qemu:///system.
    public var libvirtURI: String?
    public var policy: Policy
    public var mark: PacketMark
    /// `<hook timeout>` in seconds, 1 to 10 (the hook script ends everything after 15): how long a starting guest may be kept waiting.
    public var hookTimeout: UInt32
    /// `<resync interval>` in seconds, 1 to 86,400.
    public var resyncInterval: UInt32
    public var mechanism: MechanismChoice
    /// `<limit rate>`: of all copies together.
    public var limit: RateLimit?
    /// `<control group>`: who may read status through status.sock; `nil`: no such socket.
    public var controlGroup: String?
    /// In the order of the file; names are unique.
    public var destinations: [DestinationDefinition]

    public init(
        libvirtURI: String? = nil, policy: Policy = Policy(), mark: PacketMark = PacketMark(), hookTimeout: UInt32 = 5,
        resyncInterval: UInt32 = 60, mechanism: MechanismChoice = .auto, limit: RateLimit? = nil, controlGroup: String? = nil,
        destinations: [DestinationDefinition] = []
    ) {
        self.libvirtURI = libvirtURI
        self.policy = policy
        self.mark = mark
        self.hookTimeout = hookTimeout
        self.resyncInterval = resyncInterval
        self.mechanism = mechanism
        self.limit = limit
        self.controlGroup = controlGroup
        self.destinations = destinations
    }

    public func destination(named name: TapName) -> Result<DestinationDefinition, Failure> {
        if let definition = destinations.first(where: { $0.name == name }) { return .success(definition) }
        let nearest = NearestName.of(name.text, among: destinations.map(\.name.text))
        return .failure(
            Failure(
                .noSuchDestination,
                "this host's configuration defines no destination \(name)" + (nearest.map { "; did you mean \($0)?" } ?? "")))
    }
}
