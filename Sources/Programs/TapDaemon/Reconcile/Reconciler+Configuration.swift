// SPDX-License-Identifier: LGPL-2.1-or-later

import Hypervisor
import Logging
import TapHost
import TapModel

/// The host's configuration: what comes in force, and what is not as it says.
extension Reconciler {
    /// Puts a new configuration in force, or notes that the file cannot be used.
    func reload(
        _ result: Result<HostConfiguration, ConfigurationFileError>, _ occasion: ConfigurationLoader.Occasion = .asked
    ) throws(ConfigurationRefusal) {
        switch result {
        case .success(let new):
            configuration.replace(new, at: clock.wall())
            logger.notice("configuration loaded", metadata: ["path": "\(configuration.path)"])
            if let restart = restartNeeded { logger.warning("\(restart.message)", metadata: ["reason": "\(restart.reason.rawValue)"]) }
            if occasion == .asked, configuration.resume() { logger.notice("copying resumes") }
            // Before any tap gets another mark: what has one that its port does not know would be lost.
            ports.retryAll()
            if keepPorts(isComplete: false) {
                refreshPaths(isConfirming: false)
                refreshDestinations()
            }
            request(.volume)
            request(.all)
        case .failure(let error):
            let isNew = configuration.reject(error)
            if isNew || occasion == .asked {
                report(error)
                request(.all)
            }
            let isMissing = configuration.missing != nil
            throw ConfigurationRefusal(
                reason: isMissing ? .configInvalid : .configStale,
                message: "the configuration was not loaded; \(Self.consequence(isMissing))",
                lines: error.lines)
        }
    }

    /// Logs why a configuration was not loaded.
    func report(_ problem: ConfigurationFileError) {
        let isMissing = configuration.missing != nil
        for (index, line) in problem.lines.enumerated() {
            logger.error(
                "configuration not loaded\(index == 0 ? ", \(Self.consequence(isMissing))" : ""): \(line.printable)",
                metadata: ["reason": "\((isMissing ? Reason.configInvalid : .configStale).rawValue)"])
        }
    }

    private static func consequence(_ isMissing: Bool) -> String {
        isMissing ? "taps in the kernel stay as they are, and nothing new is tapped" : "the one before stays in force"
    }

    /// Notes whether the status socket is as the configuration says.
    func noteStatusSocket(_ trouble: Failure?) {
        if let trouble, trouble != statusSocketTrouble {
            logger.warning("\(trouble.message.printable)", metadata: ["reason": "\(trouble.reason.rawValue)"])
        } else if trouble == nil, statusSocketTrouble != nil {
            logger.notice("the status socket is there")
        }
        statusSocketTrouble = trouble
    }

    /// What of the daemon itself is not as the configuration says.
    var daemonWarnings: [TapStatus.Warning] {
        [
            statusSocketTrouble.map { TapStatus.Warning(reason: $0.reason, message: $0.message) }, restartNeeded, uncalledHook,
        ].compactMap { $0 }
    }

    /// That the configuration names another libvirt than the one in use.
    var restartNeeded: TapStatus.Warning? {
        guard configuration.missing == nil, !identity.isURIFixed else { return nil }
        let expected = LibvirtURI.effective(configuration.value.libvirtURI)
        guard expected != identity.uri else { return nil }
        return TapStatus.Warning(
            reason: .restartNeeded,
            message: "virt-tapd listens to \(identity.uri.printable), the configuration says \(expected.printable): "
                + "`systemctl restart virt-tapd` changes over, taps go on copying meanwhile")
    }
}
