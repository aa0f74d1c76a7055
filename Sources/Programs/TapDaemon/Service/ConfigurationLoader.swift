// SPDX-License-Identifier: LGPL-2.1-or-later

import Synchronization
import TapControl
import TapHost
import TapModel

/// Reads the host's configuration, and has all that depends on it follow.
actor ConfigurationLoader {
    private let file: ConfigurationFile
    private let reconciler: Reconciler
    /// `nil`: systemd has made one, or nobody wants it.
    private let statusSocket: StatusSocket?
    /// Whether there has ever been a file: one that vanished does not ask to end all copying.
    private let existed: Mutex<Bool>
    /// Whether somebody asked since the file was read last.
    private var isAsked = false
    private var isStopped = false
    /// What was read last is what is in force.
    private let reading = Turns<Outcome>()
    /// The status socket follows what is in force, beside the reading, which does not wait for it: that can last a few seconds.
    private let following = Turns<Void>()

    private typealias Outcome = Result<Void, ConfigurationRefusal>

    /// Why the file is read.
    enum Occasion {
        /// Somebody asks for it; that ends the pause of `purge --now`, too.
        case asked
        /// What could not be used may be better by now: the same trouble is not logged again.
        case retry
    }

    init(file: ConfigurationFile, reconciler: Reconciler, statusSocket: StatusSocket?) {
        self.file = file
        self.reconciler = reconciler
        self.statusSocket = statusSocket
        existed = Mutex(file.exists())
    }

    /// Reads the file and puts it in force.
    /// - Returns: what is not as it says, although it was loaded.
    func load(_ occasion: Occasion) async throws(ConfigurationRefusal) -> [TapStatus.Warning] {
        if occasion == .asked { isAsked = true }
        try await reading.take { await self.read() }.get()
        await followGroup()
        return await reconciler.daemonWarnings + reconciler.portWarnings
    }

    /// Until the task is cancelled: reads a file again that could not be used as long as no other is in force, and for a group that was
    /// not there.
    func keepTrying() async {
        await withTaskGroup { group in
            group.addTask { await self.retry() }
            group.addTask { [statusSocket] in
                guard let statusSocket else { return }
                for await _ in statusSocket.changes { await self.followGroup() }
            }
        }
    }

    /// Has the status socket go, and nobody wait for it any more.
    func stop() async {
        isStopped = true
        await statusSocket?.close()
    }

    private func retry() async {
        await followGroup()
        var patience = 0.0
        while (try? await Task.sleep(for: .seconds(LoadedConfiguration.retryInterval))) != nil {
            if await reconciler.configuration.loaded == nil { _ = try? await load(.retry) }
            patience += LoadedConfiguration.retryInterval
            guard patience >= 60, await reconciler.statusSocketTrouble != nil else { continue }
            patience = 0
            await followGroup()
        }
    }

    private func read() async -> Outcome {
        let occasion: Occasion = isAsked ? .asked : .retry
        isAsked = false
        let (file, mustExist) = (file, existed.withLock { $0 })
        let result = Result { () throws(ConfigurationFileError) in try file.load(mustExist: mustExist) }
        if file.exists() { existed.withLock { $0 = true } }
        do throws(ConfigurationRefusal) {
            return .success(try await reconciler.reload(result, occasion))
        } catch {
            return .failure(error)
        }
    }

    private func followGroup() async {
        guard let statusSocket else { return }
        await following.take {
            let trouble = await statusSocket.follow(await self.reconciler.configuration.value.controlGroup)
            guard await !self.isStopped else { return }
            await self.reconciler.noteStatusSocket(trouble)
        }
    }
}

/// Why a configuration was not put in force.
struct ConfigurationRefusal: Error {
    /// `config-invalid` when there is none in force, else `config-stale`.
    var reason: Reason
    /// What that means.
    var message: String
    /// Everything that is wrong, one line per fault.
    var lines: [String]
}

/// Does a piece of work for whoever asks, one time after the other: one is done, one more waits to begin, and who asks meanwhile gets what
/// that one brings. So nobody's time grows with how many ask.
actor Turns<Value: Sendable> {
    private var last: Task<Value, Never>?
    private var next: Task<Value, Never>?

    /// - Parameter work: begins after this was called, and sees all that was the case before; that of the first who waits is done for all.
    func take(_ work: @escaping @Sendable () async -> Value) async -> Value {
        if let next { return await next.value }
        let before = last
        let task = Task {
            _ = await before?.value
            // Whoever comes from now on may know of what the work does not see any more.
            next = nil
            return await work()
        }
        (last, next) = (task, task)
        return await task.value
    }
}
