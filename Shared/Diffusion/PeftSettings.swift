internal import Checkpoint
import Foundation

/// peft's `LoraConfig`, as far as it says how much of B · A is added; diffusers keeps it in a file's metadata
/// (`lora_adapter_metadata`, keys with the prefix `unet.` or `text_encoder.`).
///
/// | key | here |
/// |---|---|
/// | `lora_alpha` | the change of W is (alpha / rank) · B · A |
/// | `alpha_pattern` | alpha of the modules whose name is the key or ends with it |
/// | `use_rslora` | √rank in place of rank (arXiv 2312.03732) |
/// | `r`, `rank_pattern` | not needed: ranks are the tensors' |
/// | `use_dora`, `lora_bias` | refused: they are no sum of W and B · A |
struct PeftSettings {
    private let description: String
    private let alpha: Float?
    private let alphaPattern: [String: Float]
    private let usesRootOfRank: Bool

    /// - Returns: nil where the file has none
    /// - Throws: `CheckpointError` naming what is not supported
    init?(_ file: any TensorSource, of part: LoRA.Part) throws {
        guard let text = (file as? SafetensorsFile)?.metadata["lora_adapter_metadata"],
            let json = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        else { return nil }
        let prefix = part == .unet ? "unet." : "text_encoder."
        func isOn(_ key: String) -> Bool { (json[prefix + key] as? Bool) == true }
        for (key, what) in [("use_dora", "DoRA"), ("lora_bias", "a LoRA with biases")] where isOn(key) {
            throw CheckpointError(
                "\(file): its lora_adapter_metadata sets \(prefix)\(key): it is of \(what), which is not supported; use a "
                    + "plain LoRA")
        }
        let pattern = json[prefix + "alpha_pattern"] as? [String: Any] ?? [:]
        alphaPattern = try pattern.reduce(into: [:]) { pattern, entry in
            // A key is a regular expression to peft; names of modules are what is written in practice.
            guard entry.key.allSatisfy({ $0.isLetter || $0.isNumber || "._-".contains($0) }),
                let alpha = (entry.value as? NSNumber)?.floatValue
            else {
                throw CheckpointError(
                    "\(file): its lora_adapter_metadata has \(prefix)alpha_pattern with '\(entry.key)': only names of modules "
                        + "with a number each are supported there")
            }
            pattern[entry.key] = alpha
        }
        // peft's default, where it says something of this model but not that.
        let standard: Float? = json.keys.contains { $0.hasPrefix(prefix) } ? 8 : nil
        alpha = (json[prefix + "lora_alpha"] as? NSNumber)?.floatValue ?? standard
        usesRootOfRank = isOn("use_rslora")
        description = "\(file)"
    }

    /// How much of B · A is added to a module's weight.
    func scale(of module: String, rank: Int) throws -> Float {
        let own = alphaPattern.filter { key, _ in
            ("." + module).hasSuffix("." + key.trimmingPrefix("text_model."))
        }
        guard Set(own.values).count <= 1 else {
            throw CheckpointError(
                "\(description): in its alpha_pattern \(own.keys.sorted().joined(separator: " and ")) both stand for \(module)"
            )
        }
        let alpha = own.values.first ?? alpha ?? Float(rank)
        return alpha / (usesRootOfRank ? Float(rank).squareRoot() : Float(rank))
    }
}
