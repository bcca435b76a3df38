internal import Checkpoint
import Foundation

/// Where people keep the IP-Adapter: in the model's folder or beside it, under h94's names.
enum AdapterPlace {
    /// The adapter's file and the folder that it and what belongs to it are in.
    ///
    /// - Parameter named: the folder or the file, if it was said
    static func find(near url: URL, named: URL?) throws -> (folder: URL, file: URL) {
        if let named, ["safetensors", "bin"].contains(named.pathExtension) {
            guard FileManager.default.fileExists(atPath: named.path) else {
                throw CheckpointError("\(named.path): there is no such file; see LIKENESS_IP_ADAPTER")
            }
            return (named.deletingLastPathComponent(), named)
        }
        let places =
            named.map { [$0] }
            ?? [url, url.deletingLastPathComponent()].flatMap { base in
                ["ip_adapter", "IP-Adapter/models", "models", "IP-Adapter"].map { base.appendingPathComponent($0) }
            }
        for place in places { if let file = adapter(in: place) { return (place, file) } }
        throw CheckpointError(
            "no IP-Adapter (ip-adapter*.safetensors or .bin) in or beside \(url.path); looked in "
                + places.map(\.path).joined(separator: ", ")
                + ". Put h94's IP-Adapter/models there or name its folder or file in LIKENESS_IP_ADAPTER")
    }

    /// The folder of the vision tower: `image_encoder` beside the adapter, in the model's folder (as pipelines that were
    /// saved with it have it), or where h94's repository has it.
    static func imageEncoder(near url: URL, adapter: URL) throws -> URL {
        let bases = [adapter, url, url.deletingLastPathComponent(), adapter.deletingLastPathComponent()]
        let places = bases.flatMap { base in
            ["image_encoder", "models/image_encoder", "IP-Adapter/models/image_encoder"].map {
                base.appendingPathComponent($0).standardizedFileURL
            }
        }
        if let found = places.first(where: { FileManager.default.fileExists(atPath: $0.path) }) { return found }
        throw CheckpointError(
            "no image_encoder (the CLIP vision tower that the IP-Adapter reads photos with) beside \(adapter.path) or in "
                + "\(url.path); copy h94's IP-Adapter/models/image_encoder to \(places[0].path)")
    }

    /// The plain SD 1.5 adapter if it is there, else the first that is not of another kind (plus, face, SDXL): those are
    /// taken only where they are named.
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
