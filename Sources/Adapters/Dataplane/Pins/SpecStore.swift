// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import FoundationEssentials
import TapModel

/// Attachments' specs: JSON in a frozen map of one entry, since pins hold maps and nothing else.
struct SpecStore {
    private static let name = "virt_tap_spec"
    /// More than any spec can be: names are limited, and a map value is kernel memory.
    private static let limit = 64 * 1_024

    let pins: PinTree
    let cache: SpecCache
    var kernel: Kernel { pins.kernel }

    func write(_ spec: AttachmentSpec, _ undo: Undo) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json = [UInt8](try encoder.encode(spec))
        let map = try kernel.createArray(Self.name, valueSize: UInt32(json.count), entries: 1, readOnlyForPrograms: true)
        try kernel.write(json, to: map, at: 0)
        try kernel.freeze(map)
        try pins.pin(map, at: pins.spec(spec.key.id), kind: CLIBBPF_MAP, undo)
    }

    /// - Returns: `nil` when there is none, or none that can be read: what is pinned there may be anything.
    func read(_ id: AttachmentID) throws -> AttachmentSpec? {
        guard let (map, info) = try open(id) else { return nil }
        if let spec = cache[id, map: info.id] { return spec }
        let json = try kernel.read(map, at: 0, size: Int(info.value_size))
        guard let spec = try? JSONDecoder().decode(AttachmentSpec.self, from: Data(json)), spec.key.id == id else { return nil }
        cache[id, map: info.id] = spec
        return spec
    }

    /// Whether what is pinned there is a whole spec, but none of this version's: maps are pinned when they are written and frozen, so
    /// JSON that cannot be read is what a later version wrote.
    func isForeign(_ id: AttachmentID) throws -> Bool {
        guard let (map, info) = try open(id) else { return false }
        let json = Data(try kernel.read(map, at: 0, size: Int(info.value_size)))
        let decoder = JSONDecoder()
        guard (try? decoder.decode(Keyed.self, from: json)) != nil else { return false }
        return (try? decoder.decode(AttachmentSpec.self, from: json)) == nil
    }

    /// Any JSON object: the decoder has read all of the text before it asks for what is in it.
    private struct Keyed: Decodable {
        private enum Key: CodingKey {}

        init(from decoder: any Decoder) throws { _ = try decoder.container(keyedBy: Key.self) }
    }

    private func open(_ id: AttachmentID) throws -> (map: KernelObject, info: bpf_map_info)? {
        guard let map = try kernel.open(pins.spec(id), CLIBBPF_MAP) else { return nil }
        let info = try kernel.mapInfo(map)
        guard info.type == BPF_MAP_TYPE_ARRAY.rawValue, info.max_entries == 1, info.key_size == 4,
            (1...UInt32(Self.limit)).contains(info.value_size)
        else { return nil }
        return (map, info)
    }
}

/// Specs that were read before, by the map that holds them: maps of specs are frozen, and the kernel gives a map's id to
/// another only after two thousand million. Reading one anew costs more than everything else of a look at an attachment.
final class SpecCache {
    private static let limit = 16_384

    private var specs: [AttachmentID: (map: UInt32, spec: AttachmentSpec)] = [:]

    subscript(id: AttachmentID, map map: UInt32) -> AttachmentSpec? {
        get {
            guard let known = specs[id], known.map == map else { return nil }
            return known.spec
        }
        set {
            if specs.count >= Self.limit { specs = [:] }
            specs[id] = newValue.map { (map, $0) }
        }
    }
}
