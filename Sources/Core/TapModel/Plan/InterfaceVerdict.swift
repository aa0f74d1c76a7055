// SPDX-License-Identifier: LGPL-2.1-or-later

/// What is to become of one interface that a tap selects.
public struct InterfaceVerdict: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        case attach(DesiredAttachment)
        case refused(Failure)
    }

    public var interface: DomainInterface
    public var result: Outcome

    public init(interface: DomainInterface, result: Outcome) {
        self.interface = interface
        self.result = result
    }
}
