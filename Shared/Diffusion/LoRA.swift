public import Checkpoint
internal import TensorEngine

/// A file of low-rank changes to the weights of a UNet or text tower (LoRA, arXiv 2106.09685), in any of the namings that
/// people share:
///
/// | naming | keys | change of W at weight w |
/// |---|---|---|
/// | kohya-ss sd-scripts | `lora_unet_<module with _>.lora_down.weight`, `.lora_up.weight`, `.alpha` | w · (alpha / rank) · up · down |
/// | peft, diffusers | `unet.<module>.lora_A.weight`, `.lora_B.weight` | w · B · A |
/// | the same with `lora_adapter_metadata` | as before, ``PeftSettings`` in the file's metadata | w · (lora_alpha / rank) · B · A |
/// | diffusers before 0.18 | `unet.<module>.lora.down.weight`, `….processor.to_q_lora.down.weight` | w · up · down |
///
/// kohya's names are ambiguous (`_` stands for `.` too) and are matched against the model's own. A file may change the text
/// tower as well (`lora_te_`, `text_encoder.`): each model takes its own part.
public struct LoRA: Sendable {
    /// Where it came from.
    public let description: String
    /// By the module's name as in the model's checkpoint, without `.weight`.
    let changes: [String: Change]
    /// Whether the file changes nothing of this model, only the other one.
    public var isEmpty: Bool { changes.isEmpty }

    /// Which of Stable Diffusion's models is changed.
    public enum Part: Sendable { case unet, textEncoder }

    struct Change: Sendable {
        /// [rank, inputs …] and [outputs, rank …].
        let down, up: Tensor
        /// alpha / rank, or what the file says instead.
        let scale: Float
    }

    /// Reads the pairs that belong to `model`.
    ///
    /// - Parameters:
    ///   - model: the checkpoint of the UNet or the text tower
    ///   - part: which of them it is
    /// - Throws: `CheckpointError` naming the key, for halves of pairs, shapes that do not fit, and modules the model
    ///   does not have
    public init(_ file: any TensorSource, for model: any TensorSource, part: Part = .unet) throws {
        description = file.description
        let modules = Dictionary(
            model.names.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(".weight".count)) }
                .map { ($0.replacing(".", with: "_"), $0) }, uniquingKeysWith: { first, _ in first })
        var pairs: [String: LoRAPair] = [:]
        var others = 0
        for name in file.names {
            guard let key = try LoRAKey(name, in: file) else { continue }
            if key.isTextEncoder == (part == .textEncoder) {
                pairs[key.module, default: LoRAPair()].add(key.part, name)
            } else {
                others += 1
            }
        }
        guard !pairs.isEmpty || others > 0 else {
            throw CheckpointError(
                "\(file): holds no LoRA (no lora_down/lora_up, lora_A/lora_B or lora.down/lora.up keys)")
        }
        let settings = try PeftSettings(file, of: part)
        var changes: [String: Change] = [:]
        for (written, pair) in pairs {
            guard let module = Self.spellings(written, of: part).lazy.compactMap({ modules[$0] }).first else {
                throw CheckpointError(
                    "\(file): \(pair.down ?? pair.up ?? written) changes \(written), which this model does not have; is the "
                        + "LoRA for Stable Diffusion 1.5?")
            }
            changes[module] = try pair.change(of: module, in: file, model, settings)
        }
        self.changes = changes
    }

    /// How the model may spell a module that a file names. transformers 5 saves text towers without `text_model` in front.
    private static func spellings(_ written: String, of part: Part) -> [String] {
        let plain = written.replacing(".", with: "_")
        guard part == .textEncoder else { return [plain] }
        return [plain, "text_model_" + plain, String(plain.trimmingPrefix("text_model_"))]
    }

    /// `base` with `loras` applied at their weights, computed as tensors are asked for; others pass through as they are.
    public static func applied(_ loras: [(lora: LoRA, weight: Float)], to base: any TensorSource) -> some TensorSource {
        LoRAWeights(base: base, loras: loras)
    }
}

/// A checkpoint with LoRAs merged: W' = W + Σ weight · (alpha / rank) · up · down.
struct LoRAWeights: TensorSource {
    let base: any TensorSource
    let loras: [(lora: LoRA, weight: Float)]

    /// Names the LoRAs too: a fault of the sum may be theirs.
    var description: String {
        ([base.description] + loras.map(\.lora.description)).joined(separator: " with ")
    }
    var names: [String] { base.names }
    func shape(of name: String) -> [Int]? { base.shape(of: name) }

    func tensor(_ name: String) throws -> Tensor {
        var tensor = try base.tensor(name)
        guard name.hasSuffix(".weight") else { return tensor }
        let module = String(name.dropLast(".weight".count))
        for (lora, weight) in loras {
            guard let change = lora.changes[module] else { continue }
            let rank = change.down.shape[0]
            let up = change.up.reshaped([change.up.shape[0], rank])
            let product = up.linear(change.down.reshaped([rank, -1]).transposed()).reshaped(tensor.shape)
            tensor = tensor.blended(1, weight * change.scale, with: product)
        }
        return tensor
    }
}
