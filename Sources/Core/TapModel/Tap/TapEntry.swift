// SPDX-License-Identifier: LGPL-2.1-or-later

/// One `<tap>` as the metadata has it: a options that can be carried out, or one that cannot be understood.
public enum TapEntry: Hashable, Sendable {
    case valid(Tap)
    /// `name` is what the element would be called, as far as that could be read. `required` is kept apart because a
    /// tap that must be in place is not in place when it is invalid.
    case invalid(name: TapName, required: Bool, Failure)

    public var name: TapName {
        switch self {
        case .valid(let tap): tap.name
        case .invalid(let name, _, _): name
        }
    }

    public var isRequired: Bool {
        switch self {
        case .valid(let tap): tap.required && tap.enabled
        case .invalid(_, let required, _): required
        }
    }
}
