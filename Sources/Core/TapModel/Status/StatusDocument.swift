// SPDX-License-Identifier: LGPL-2.1-or-later

/// What `virt-tap status --json` prints.
///
/// Within version 1 keys are added, never renamed, removed or retyped.
public struct StatusDocument: Hashable, Codable, Sendable {
    public var version: Int
    public var host: Host
    public var daemon: Daemon
    public var hook: Hook
    public var config: Config
    public var taps: [TapStatus]
    public var destinations: [DestinationStatus]

    public static let currentVersion = 1

    public init(host: Host, daemon: Daemon, hook: Hook, config: Config, taps: [TapStatus], destinations: [DestinationStatus]) {
        version = Self.currentVersion
        self.host = host
        self.daemon = daemon
        self.hook = hook
        self.config = config
        self.taps = taps
        self.destinations = destinations
    }

    public struct Host: Hashable, Codable, Sendable {
        public var name: String
        public var kernel: String
        /// `nil` until libvirt has answered once.
        @Nullable public var libvirt: String?

        public init(name: String, kernel: String, libvirt: String?) {
            self.name = name
            self.kernel = kernel
            self.libvirt = libvirt
        }
    }

    public struct Daemon: Hashable, Codable, Sendable {
        public var running: Bool
        @Nullable public var version: String?
        @Nullable public var pid: Int32?
        @Nullable public var uri: String?
        /// Whether libvirt answers; `nil` when no daemon runs.
        @Nullable public var connected: Bool?
        /// Whether every domain has been looked at since the daemon started: before that there may be taps that are not in the
        /// document. `nil` when no daemon runs, or one that does not say so.
        @Nullable public var complete: Bool?
        /// When the daemon started.
        @Nullable public var since: Timestamp?
        /// Whether `purge --now` has stopped all work until a reload.
        @Nullable public var paused: Bool?
        /// What is not as the configuration says, with what to do about it; `nil` when no daemon (or one of before) says it.
        @Nullable public var warnings: [TapStatus.Warning]?

        public init(
            running: Bool, version: String?, pid: Int32?, uri: String?, connected: Bool?, complete: Bool?, since: Timestamp?, paused: Bool?,
            warnings: [TapStatus.Warning]? = nil
        ) {
            self.running = running
            self.version = version
            self.pid = pid
            self.uri = uri
            self.connected = connected
            self.complete = complete
            self.since = since
            self.paused = paused
            self.warnings = warnings
        }

        public static let down = Daemon(
            running: false, version: nil, pid: nil, uri: nil, connected: nil, complete: nil, since: nil, paused: nil)
    }

    public struct Hook: Hashable, Codable, Sendable {
        /// Whether the script is where libvirt looks for it.
        public var installed: Bool
        /// When the daemon last heard from it.
        @Nullable public var seen: Timestamp?
        /// When a guest was last started without a call of it, if none has come since.
        @Nullable public var missed: Timestamp?

        public init(installed: Bool, seen: Timestamp?, missed: Timestamp? = nil) {
            self.installed = installed
            self.seen = seen
            self.missed = missed
        }
    }

    public struct Config: Hashable, Codable, Sendable {
        public var path: String
        /// When the configuration in force was read; `nil` with a running daemon: there is none, since the file is `stale` and nothing was
        /// in force before it.
        @Nullable public var loaded: Timestamp?
        /// The file could not be loaded: the configuration before it is in force, if there was one.
        public var stale: Bool
        /// Why it could not.
        @Nullable public var message: String?

        public init(path: String, loaded: Timestamp?, stale: Bool, message: String?) {
            self.path = path
            self.loaded = loaded
            self.stale = stale
            self.message = message
        }
    }
}
