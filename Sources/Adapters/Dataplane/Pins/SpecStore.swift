// SPDX-License-Identifier: LGPL-2.1-or-later

import CLibbpf
import FoundationEssentials
import TapModel

/// Writes and reads the specs of attachments: JSON in a frozen map of one entry, since only BPF objects can be pinned.
struct SpecStore {
    private static let name = "virt_tap_spec"
    /// More bytes than any spec has, since names are limited. A map's value is kernel memory.
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

    /// Reads a spec.
    /// - Returns: `nil` when there is none, or the pinned object is not a spec of this version.
    func read(_ id: AttachmentID) throws -> AttachmentSpec? {
        guard let (map, info) = try open(id) else { return nil }
        if let spec = cache[id, map: info.id] { return spec }
        let json = try kernel.read(map, at: 0, size: Int(info.value_size))
        guard let spec = try? JSONDecoder().decode(AttachmentSpec.self, from: Data(json)), spec.key.id == id else { return nil }
        cache[id, map: info.id] = spec
        return spec
    }

    /// Reads whether a spec of a later version is pinned. Maps are pinned after they are written and frozen, so JSON that this version
    /// cannot decode was written by a later one.
    func isOfLaterVersion(_ id: AttachmentID) throws -> Bool {
        guard let (map, info) = try open(id) else { return false }
        let json = Data(try kernel.read(map, at: 0, size: Int(info.value_size)))
        let decoder = JSONDecoder()
        guard (try? decoder.decode(Keyed.self, from: json)) != nil else { return false }
        return (try? decoder.decode(AttachmentSpec.self, from: json)) == nil
    }

    /// Any JSON object. The decoder parses the whole text before it decodes values.
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

/// Remembers specs that were read before, by the id of the map that holds them. Maps of specs are frozen, and the kernel reuses a map's id
/// only after two thousand million others. Reading a spec costs more than all other reads of an attachment.
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
