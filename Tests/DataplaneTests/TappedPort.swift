// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import DataplaneTestSupport
import Foundation
import Glibc
import TapModel
import Testing

@testable import Dataplane

/// A tapped guest whose copies go into a monitor port.
struct TappedPort {
    static let mark = PacketMark()
    let tapped: TappedBench
    let spec: MonitorPort.Spec
    let port: MonitorPort
    var name: String { spec.name }
    var own: String { MonitorPort.device(of: name) }

    init(_ mechanism: Mechanism, withHeader: Bool = false, marks: [PacketMark] = [Self.mark]) throws {
        tapped = try TappedBench(mechanism, withHeader: withHeader)
        spec = MonitorPort.Spec(name: "span\(tapped.bench.number)", marks: marks, mechanism: mechanism)
        port = try tapped.dataplane.installPort(spec)
        try tapped.dataplane.setDestination("ids", kind: .monitor, ifindex: port.ifindex)
    }

    func keep() throws -> MonitorPort { try tapped.dataplane.installPort(spec) }

    /// Takes a program away as somebody might who does not know what it is.
    static func remove(_ place: PortGuard, from device: String, _ tapped: TappedBench) throws {
        let index = if_nametoindex(device)
        let point = HookPoint(ifindex: index, isEgress: place.isEgress)
        switch tapped.mechanism {
        case .tcx:
            let layout = "\(tapped.bench.bpffs)/virt-tap/1"
            for name in try FileManager.default.contentsOfDirectory(atPath: layout) where name.hasPrefix("port-") {
                let link = bpf_obj_get("\(layout)/\(name)")
                defer { close(link) }
                var info = clibbpf_link()
                guard clibbpf_kind_of(link) == CLIBBPF_LINK, clibbpf_link_info(link, &info) == 0, info.ifindex == index,
                    info.attach_type == point.tcxType.rawValue
                else { continue }
                #expect(bpf_link_detach(link) == 0)
            }
        case .clsact:
            try run("tc", "filter", "del", "dev", device, place.isEgress ? "egress" : "ingress")
        }
    }
}
