// SPDX-License-Identifier: LGPL-2.1-or-later

import DataplaneTestSupport

/// A frame as a guest's driver hands it over: `struct virtio_net_hdr`, then Ethernet, IPv4 and TCP from port 4000 to 5000.
struct TestFrame: Sendable {
    /// As `--sizes` names it.
    let name: String
    let label: String
    /// How many of them are one sample.
    let batch: Int
    /// With the virtio header.
    let bytes: [UInt8]
    /// The frames that a wire would have carried: their lengths.
    let segments: [Int]

    var length: Int { bytes.count - Self.virtioHeader }
    var isLarge: Bool { segments.count > 1 }

    private static let virtioHeader = 10
    private static let headers = 14 + 20 + 20

    /// `length` counts from the Ethernet header on, without the frame check sequence.
    private init(length: Int, batch: Int) {
        name = "\(length)"
        label = "\(length)-byte frames"
        self.batch = batch
        bytes = [UInt8](repeating: 0, count: Self.virtioHeader) + FrameBuilder.tcp(payload: length - Self.headers, tcpOptions: 0)
        segments = [length]
    }

    /// 64 kB less what IPv4 does not let a packet have, in segments of 1,448 bytes.
    private static func large() -> TestFrame {
        let (payload, segment) = (65_000, 1_448)
        func little(_ value: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)] }
        // The virtio header: checksum offload; TCP over IPv4; the headers' length, the segment's size, where the checksum goes.
        let header: [UInt8] = [1, 1] + little(headers) + little(segment) + little(14 + 20) + little(16)
        var segments = [Int](repeating: segment + headers, count: payload / segment)
        segments.append(payload % segment + headers)
        return TestFrame(
            name: "64k", label: "64 kB GSO packets", batch: 400,
            bytes: header + FrameBuilder.tcp(payload: payload, tcpOptions: 0), segments: segments)
    }

    private init(name: String, label: String, batch: Int, bytes: [UInt8], segments: [Int]) {
        self.name = name
        self.label = label
        self.batch = batch
        self.bytes = bytes
        self.segments = segments
    }

    static let all: [TestFrame] = [
        TestFrame(length: 64, batch: 4_000), TestFrame(length: 512, batch: 4_000), TestFrame(length: 1_500, batch: 4_000), large(),
    ]
}
