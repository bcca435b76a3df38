internal import Checkpoint
import Foundation

/// Where people keep the IP-Adapter: in the model's folder or beside it, under h94's names.
enum AdapterPlace {
    /// The folder of the adapter's files, or the file that was named.
    static func find(near url: URL, named: URL?) throws -> URL {
        let places =
            named.map { [$0] }
            ?? [url, url.deletingLastPathComponent()].flatMap { base in
                ["ip_adapter", "IP-Adapter/models", "models", "IP-Adapter"].map { base.appendingPathComponent($0) }
            }
        guard let found = places.first(where: { adapter(in: $0) != nil }) else {
            throw CheckpointError(
                "no IP-Adapter (ip-adapter*.safetensors or .bin) in or beside \(url.path); looked in "
                    + places.map(\.path).joined(separator: ", ")
                    + ". Put h94's IP-Adapter/models there or name its folder in LIKENESS_IP_ADAPTER")
        }
        return found
    }

    /// The adapter's file.
    static func file(in folder: URL) throws -> URL {
        guard let file = adapter(in: folder) else {
            throw CheckpointError("\(folder.path): has no ip-adapter*.safetensors or .bin any more")
        }
        return file
    }

    /// The plain SD 1.5 adapter if it is there, else the first that is not of another kind (plus, face, SDXL).
    private static func adapter(in folder: URL) -> URL? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        let adapters = [".safetensors", ".bin"].flatMap { ending in
            names.filter { $0.hasPrefix("ip-adapter") && $0.hasSuffix(ending) }.sorted()
        }
        let plain = adapters.filter { name in !["plus", "face", "sdxl", "vit-G"].contains { name.contains($0) } }
        let chosen = plain.first { $0.hasPrefix("ip-adapter_sd15.") } ?? plain.first
        return chosen.map { folder.appendingPathComponent($0) }
    }
}
