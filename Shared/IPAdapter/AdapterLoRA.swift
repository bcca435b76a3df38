public import Checkpoint
public import TensorEngine

/// The LoRA inside a FaceID adapter's file, under names that `LoRA` reads: it changes every attention of the UNet, with
/// weight 1, whatever λ is.
///
/// | file | keys | here |
/// |---|---|---|
/// | h94's | `ip_adapter.{n}.to_{q,k,v,out}_lora.{down,up}.weight` | `unet.<n-th attention>.processor.to_q_lora.down.weight` |
/// | diffusers' UNet with peft | `<module>.lora_{A,B}.<name>.weight` | as it is |
///
/// n counts all attentions in diffusers' order of processors: self- and cross-attention of each layer in turn, through the
/// down blocks, the up blocks, the mid block (diffusers `_load_ip_adapter_loras`).
public struct AdapterLoRA: TensorSource {
    private let adapter: any TensorSource
    /// The file's key by the name it has here.
    private let keys: [String: String]

    /// - Parameters:
    ///   - adapter: the adapter's file
    ///   - unet: the checkpoint of the UNet that it changes
    /// - Throws: `CheckpointError` naming a key whose number no attention has
    /// - Returns: nil where the adapter has no LoRA, as those that are not FaceID's
    public init?(_ adapter: any TensorSource, for unet: any TensorSource) throws {
        let parts = adapter.names.filter(Self.isPart)
        guard !parts.isEmpty else { return nil }
        let attentions = Self.attentions(of: unet)
        self.adapter = adapter
        keys = try Dictionary(
            parts.map { key in
                guard key.hasPrefix(Self.prefix) else { return (key, key) }
                let segments = key.dropFirst(Self.prefix.count).split(separator: ".", maxSplits: 1)
                guard segments.count == 2, let number = Int(segments[0]), attentions.indices.contains(number) else {
                    throw CheckpointError(
                        "\(adapter): \(key) is of an attention that this UNet does not have (it has \(attentions.count)); is "
                            + "the adapter for Stable Diffusion 1.5?")
                }
                return ("unet.\(attentions[number]).processor.\(segments[1])", key)
            }, uniquingKeysWith: { throw CheckpointError("\(adapter): \($0) and \($1) are of the same attention") })
    }

    private static let prefix = "ip_adapter."

    /// Whether a key of an adapter's file belongs to its LoRA.
    static func isPart(_ key: String) -> Bool { key.contains("_lora.") || key.contains(".lora_") }

    /// Names of all attentions, in the order of processors.
    private static func attentions(of unet: any TensorSource) -> [String] {
        func place(_ name: String) -> [Int] {
            let section = ["down_blocks", "up_blocks", "mid_block"].firstIndex { name.hasPrefix($0) } ?? 3
            let numbers = name.split(separator: ".").compactMap { Int($0.drop { !$0.isNumber }) }
            return [section] + numbers
        }
        return unet.names.filter { $0.hasSuffix(".to_q.weight") }.map { String($0.dropLast(".to_q.weight".count)) }
            .map { (name: $0, place: place($0)) }.sorted { $0.place.lexicographicallyPrecedes($1.place) }.map(\.name)
    }

    public var description: String { adapter.description }
    public var names: [String] { Array(keys.keys) }
    public func shape(of name: String) -> [Int]? { keys[name].flatMap { adapter.shape(of: $0) } }
    public func tensor(_ name: String) throws -> Tensor {
        guard let key = keys[name] else { throw CheckpointError("\(adapter): has no tensor \(name)") }
        return try adapter.tensor(key)
    }
}

/// An adapter's file without its LoRA: what `IPAdapterModel` takes all of.
public struct AdapterWithoutLoRA: TensorSource {
    private let adapter: any TensorSource

    /// Hides the LoRA's keys.
    public init(_ adapter: any TensorSource) { self.adapter = adapter }

    public var description: String { adapter.description }
    public var names: [String] { adapter.names.filter { !AdapterLoRA.isPart($0) } }
    public func shape(of name: String) -> [Int]? { adapter.shape(of: name) }
    public func tensor(_ name: String) throws -> Tensor { try adapter.tensor(name) }
}
