public import Checkpoint
import Foundation
public import TensorEngine

/// One part of Stable Diffusion's original single file (`.safetensors`, `.ckpt`), under diffusers' names.
///
/// The original code (CompVis latent-diffusion) numbers modules as they run; diffusers names them by block. The rules are
/// those of diffusers' `convert_ldm_unet_checkpoint` and `convert_ldm_vae_checkpoint`.
public struct SingleFilePart: TensorSource {
    /// What it is part of.
    public enum Part: Sendable { case unet, vae, text }

    /// The file's.
    public let description: String
    private let file: any TensorSource
    /// The file's names by diffusers'.
    private let originals: [String: String]

    /// The part of `file`. A name that the rules do not know keeps the file's own, so that the model says it has no place
    /// for it.
    ///
    /// - Parameters:
    ///   - layers: `layers_per_block` of the UNet
    ///   - levels: resolutions of the VAE
    /// - Throws: `CheckpointError` if the file has nothing of it
    public init(
        _ file: any TensorSource, _ part: Part, layersPerBlock layers: Int = 2,
        levels: Int = 4
    ) throws {
        (self.file, description) = (file, file.description)
        let pairs = file.names.compactMap { name -> (String, String)? in
            let renamed =
                switch part {
                case .unet: OriginalNames.unet(name, layersPerBlock: layers)
                case .vae: OriginalNames.vae(name, levels: levels)
                case .text: OriginalNames.text(name)
                }
            return renamed.map { ($0, name) }
        }
        originals = Dictionary(pairs) { first, _ in first }
        guard !originals.isEmpty else {
            func has(_ prefix: String) -> Bool { file.names.contains { $0.hasPrefix(prefix) } }
            let kind =
                has("conditioner.embedders.")
                ? "of Stable Diffusion XL" : has("cond_stage_model.model.") ? "of Stable Diffusion 2.x" : nil
            throw CheckpointError(
                "\(file.description): is \(kind.map { $0 + ", " } ?? "")not a Stable Diffusion 1.x checkpoint (it has no "
                    + "\(OriginalNames.prefix(part)))")
        }
    }

    /// diffusers' names.
    public var names: [String] { Array(originals.keys) }
    /// The shape of `name`, or nil if there is none.
    public func shape(of name: String) -> [Int]? { originals[name].flatMap { file.shape(of: $0) } }
    /// The floats of `name`.
    public func tensor(_ name: String) throws -> Tensor {
        guard let original = originals[name] else { throw CheckpointError("\(description): has no tensor \(name)") }
        return try file.tensor(original)
    }
}

/// The original code's names → diffusers'. nil for what belongs to another part, or carries no weights.
enum OriginalNames {
    static func prefix(_ part: SingleFilePart.Part) -> String {
        switch part {
        case .unet: "model.diffusion_model."
        case .vae: "first_stage_model."
        case .text: "cond_stage_model.transformer."
        }
    }

    private static func rest(_ name: String, _ part: SingleFilePart.Part) -> [String]? {
        let prefix = prefix(part)
        return name.hasPrefix(prefix) ? name.dropFirst(prefix.count).split(separator: ".").map(String.init) : nil
    }

    /// `cond_stage_model.transformer.text_model.*`; fine-tunes sometimes leave `text_model` out.
    static func text(_ name: String) -> String? {
        guard let path = rest(name, .text), path.last != "position_ids" else { return nil }
        return (path.first == "text_model" ? path : ["text_model"] + path).joined(separator: ".")
    }

    static func unet(_ name: String, layersPerBlock layers: Int) -> String? {
        guard let path = rest(name, .unet), !path.isEmpty else { return nil }
        let number = path.count > 1 ? Int(path[1]) : nil
        func joined(_ start: String, _ from: Int) -> String {
            ([start] + path.dropFirst(from)).joined(separator: ".")
        }
        switch (path[0], number) {
        case ("time_embed", let i?): return joined("time_embedding.linear_\(i / 2 + 1)", 2)
        case ("out", 0): return joined("conv_norm_out", 2)
        case ("out", 2): return joined("conv_out", 2)
        case ("input_blocks", 0): return joined("conv_in", 3)
        case ("input_blocks", let i?):
            let (block, layer) = ((i - 1) / (layers + 1), (i - 1) % (layers + 1))
            if layer == layers { return joined("down_blocks.\(block).downsamplers.0.conv", 4) }
            return module(
                path, 2, resnet: "down_blocks.\(block).resnets.\(layer)", "down_blocks.\(block).attentions.\(layer)")
        case ("middle_block", let i?):
            return i == 1
                ? joined("mid_block.attentions.0", 2)
                : (["mid_block.resnets.\(i / 2)"] + resnet(Array(path.dropFirst(2)))).joined(separator: ".")
        case ("output_blocks", let i?):
            let (block, layer) = (i / (layers + 1), i % (layers + 1))
            if path.count > 3, path[3] == "conv" { return joined("up_blocks.\(block).upsamplers.0.conv", 4) }
            return module(
                path, 2, resnet: "up_blocks.\(block).resnets.\(layer)", "up_blocks.\(block).attentions.\(layer)")
        default: return path.joined(separator: ".")
        }
    }

    /// In a numbered block, module 0 is the residual block and module 1 the transformer.
    private static func module(_ path: [String], _ place: Int, resnet start: String, _ attention: String) -> String {
        guard path.count > place + 1 else { return path.joined(separator: ".") }
        let inner = Array(path.dropFirst(place + 1))
        return path[place] == "0"
            ? ([start] + resnet(inner)).joined(separator: ".") : ([attention] + inner).joined(separator: ".")
    }

    private static func resnet(_ path: [String]) -> [String] {
        let names = [
            "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
            "out_layers.3": "conv2",
        ]
        if path.first == "skip_connection" { return ["conv_shortcut"] + path.dropFirst() }
        guard path.count >= 2, let name = names["\(path[0]).\(path[1])"] else { return path }
        return [name] + path.dropFirst(2)
    }

    static func vae(_ name: String, levels: Int) -> String? {
        guard let path = rest(name, .vae), let half = path.first else { return nil }
        guard half == "encoder" || half == "decoder" else {
            // Of the autoencoder's own training.
            return half == "loss" || half == "model_ema" ? nil : path.joined(separator: ".")
        }
        let inner = Array(path.dropFirst())
        guard !inner.isEmpty else { return half }
        func joined(_ start: String, _ rest: [String]) -> String { ([half, start] + rest).joined(separator: ".") }
        func shortcut(_ path: [String]) -> [String] { path.map { $0 == "nin_shortcut" ? "conv_shortcut" : $0 } }
        switch inner[0] {
        case "norm_out": return joined("conv_norm_out", Array(inner.dropFirst()))
        case "conv_in", "conv_out": return path.joined(separator: ".")
        case "mid" where inner.count > 2 && inner[1] == "attn_1":
            let names = ["norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"]
            return joined("mid_block.attentions.0.\(names[inner[2]] ?? inner[2])", Array(inner.dropFirst(3)))
        case "mid" where inner.count > 2:
            return joined("mid_block.resnets.\(inner[1] == "block_1" ? 0 : 1)", shortcut(Array(inner.dropFirst(2))))
        case "down", "up":
            guard inner.count > 3, let level = Int(inner[1]) else { return path.joined(separator: ".") }
            // The decoder's levels are numbered from the picture, diffusers' blocks from the latent.
            let block = inner[0] == "up" ? "up_blocks.\(levels - 1 - level)" : "down_blocks.\(level)"
            if inner[2] == "block" {
                return joined("\(block).resnets.\(inner[3])", shortcut(Array(inner.dropFirst(4))))
            }
            return joined(
                "\(block).\(inner[2] == "upsample" ? "upsamplers" : "downsamplers").0", Array(inner.dropFirst(3)))
        default: return path.joined(separator: ".")
        }
    }
}
