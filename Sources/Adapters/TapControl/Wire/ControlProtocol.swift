// SPDX-License-Identifier: LGPL-2.1-or-later

import TapModel

/// Numbers of the control protocol between virt-tap and virt-tapd.
///
/// A client sends one line of JSON, the header, and as many bytes of body as the header's `length` says; the server
/// answers in the same form and closes. Both headers carry `protocol` and `version`. Keys that a side does not know
/// are ignored, so that programs of different versions understand each other; what cannot be ignored gets a new
/// number, and the two sides then say so and do nothing.
public enum ControlProtocol {
    public static let number = 1
    /// Bytes, the newline included.
    public static let maximumHeader = 64 * 1_024
    /// Bytes: a hook call carries a domain's XML, a status document is smaller.
    public static let maximumBody = DomainSnapshot.maximumXML
    /// A whole request must have arrived this long after the connection was accepted.
    public static let requestTime: Duration = .seconds(5)
    /// The client must have taken the whole answer this long after it was ready.
    public static let answerTime: Duration = .seconds(5)
    /// Clients served at once on one socket; further ones are told so.
    public static let maximumClients = 32
}
