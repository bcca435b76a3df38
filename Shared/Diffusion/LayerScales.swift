internal import Checkpoint

/// λ of IP-Adapter for each cross-attention of a UNet, in the forms that people write it:
///
/// | form | example | means |
/// |---|---|---|
/// | `number` | 0.7 | the same everywhere |
/// | `list` | 16 numbers for SD 1.5 | one for each layer in the order of a pass: down blocks, mid block, up blocks |
/// | `blocks` | down: (block_2: [0, 1]), up: (block_1: [0, 1, 0]) | diffusers' `set_ip_adapter_scale`; what is not named is 0 |
///
/// A list inside `blocks` has as many numbers as the block has layers, or one for all of them.
public indirect enum LayerScales: Sendable, Hashable {
    case number(Float)
    case list([Float])
    case blocks([String: LayerScales])

    /// λ by the cross-attentions' module names.
    ///
    /// - Throws: `CheckpointError` that says what the model has instead
    public func resolved(for unet: UNet2DConditionModel) throws -> [String: Float] {
        let sections = Self.sections(of: unet)
        let names = sections.flatMap { $0.blocks.flatMap(\.layers) }
        switch self {
        case .number(let scale): return Dictionary(uniqueKeysWithValues: names.map { ($0, scale) })
        case .list(let scales):
            guard scales.count == names.count else {
                throw CheckpointError(
                    "ip_adapter_scales has \(scales.count) numbers, this model has \(names.count) cross-attention layers "
                        + "(down, mid, up); give one for each, or name blocks")
            }
            return Dictionary(uniqueKeysWithValues: zip(names, scales))
        case .blocks(let named):
            var result = Dictionary(uniqueKeysWithValues: names.map { ($0, Float(0)) })
            for (name, scales) in named {
                guard let section = sections.first(where: { $0.name == name }) else {
                    throw CheckpointError("ip_adapter_scales names '\(name)'; a UNet has down, mid and up")
                }
                try scales.fill(&result, section)
            }
            return result
        }
    }

    private struct Section {
        let name: String
        /// `block_0` …, those with attention only; the mid block has no name.
        let blocks: [(name: String, layers: [String])]
    }

    private static func sections(of unet: UNet2DConditionModel) -> [Section] {
        func named(_ blocks: [[Transformer2DModel]]) -> [(name: String, layers: [String])] {
            blocks.enumerated().filter { !$0.element.isEmpty }.map { ("block_\($0)", layers($1)) }
        }
        func layers(_ attentions: [Transformer2DModel]) -> [String] {
            attentions.flatMap { $0.transformerBlocks.map(\.attn2.name) }
        }
        return [
            Section(name: "down", blocks: named(unet.downBlocks.map(\.attentions))),
            Section(name: "mid", blocks: [("", layers([unet.midBlock.attention]))]),
            Section(name: "up", blocks: named(unet.upBlocks.map(\.attentions))),
        ]
    }

    private func fill(_ result: inout [String: Float], _ section: Section) throws {
        if case .blocks(let named) = self {
            for (name, scales) in named {
                guard let block = section.blocks.first(where: { $0.name == name && !name.isEmpty }) else {
                    let known = section.blocks.map(\.name).filter { !$0.isEmpty }
                    throw CheckpointError(
                        "ip_adapter_scales: \(section.name) has no block '\(name)' with attention; "
                            + (known.isEmpty ? "give a number" : "it has \(known.joined(separator: ", "))"))
                }
                try scales.fill(&result, section.name + "." + name, block.layers)
            }
        } else {
            for block in section.blocks { try fill(&result, section.name, block.layers) }
        }
    }

    private func fill(_ result: inout [String: Float], _ place: String, _ layers: [String]) throws {
        let scales: [Float]
        switch self {
        case .number(let scale): scales = [scale]
        case .list(let list): scales = list
        case .blocks: throw CheckpointError("ip_adapter_scales: \(place) takes a number or a list of numbers")
        }
        guard scales.count == 1 || scales.count == layers.count else {
            throw CheckpointError(
                "ip_adapter_scales: \(place) has \(scales.count) numbers, the block has \(layers.count) layers")
        }
        for (i, layer) in layers.enumerated() { result[layer] = scales.count == 1 ? scales[0] : scales[i] }
    }
}
