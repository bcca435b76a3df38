internal import Checkpoint
internal import TensorEngine

/// What a key of a LoRA file says.
struct LoRAKey {
    enum Part { case down, up, alpha }

    /// The changed module, with `.` or `_` between its segments as the file has them.
    let module: String
    let part: Part
    let isTextEncoder: Bool

    /// nil for keys that are none of LoRA's.
    init?(_ name: String, in file: any TensorSource) throws {
        for (sign, kind) in [
            ("hada_", "LoHa"), ("lokr_", "LoKr"), ("dora_scale", "DoRA"), ("lora_magnitude_vector", "DoRA"),
            ("lora_mid", "LoCon's Tucker form"), ("lora_B.bias", "a LoRA with biases"),
        ]
        where name.contains(sign) {
            throw CheckpointError("\(file): \(name) is of \(kind), which is not supported; use a plain LoRA")
        }
        // peft names a model's LoRAs: ….lora_A.default.weight, ….lora_A.faceid_0.weight.
        let short = name.replacing(/\.lora_([AB])\.[^.]+\.weight$/) { ".lora_\($0.1).weight" }
        guard let ending = Self.endings.first(where: { short.hasSuffix($0.text) }) else { return nil }
        var module = String(short.dropLast(ending.text.count))
        // Old attention processors: ….attn1.processor.to_q_lora → ….attn1.to_q, to_out_lora → to_out.0
        if module.contains(".processor.") {
            module = module.replacing(".processor.", with: ".").replacing("_lora", with: "")
        }
        if module.hasSuffix(".to_out") { module += ".0" }
        let ofText = Self.textPrefixes.first { module.hasPrefix($0) }
        isTextEncoder = ofText != nil
        if let ofText {
            module = String(module.dropFirst(ofText.count))
            // diffusers before 0.18 names them as the UNet's.
            for (old, new) in [("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out.0", "out_proj")]
            where module.hasSuffix(".self_attn." + old) {
                module = module.dropLast(old.count) + new
            }
        } else {
            for prefix in ["lora_unet_", "unet.", "base_model.model."] where module.hasPrefix(prefix) {
                module = String(module.dropFirst(prefix.count))
            }
        }
        (self.module, part) = (module, ending.part)
    }

    private static let textPrefixes = ["lora_te_", "lora_te1_", "text_encoder.", "te."]

    private static let endings: [(text: String, part: Part)] = [
        (".lora_down.weight", .down), (".lora_up.weight", .up), (".alpha", .alpha),
        (".lora_A.weight", .down), (".lora_B.weight", .up),
        (".lora.down.weight", .down), (".lora.up.weight", .up),
        (".lora_linear_layer.down.weight", .down), (".lora_linear_layer.up.weight", .up),
        ("_lora.down.weight", .down), ("_lora.up.weight", .up),
    ]
}

/// The keys of one module's change.
struct LoRAPair {
    private(set) var down, up, alpha: String?

    mutating func add(_ part: LoRAKey.Part, _ name: String) {
        switch part {
        case .down: down = name
        case .up: up = name
        case .alpha: alpha = name
        }
    }

    func change(
        of module: String, in file: any TensorSource, _ model: any TensorSource,
        _ settings: PeftSettings?
    ) throws -> LoRA.Change {
        guard let down, let up else {
            throw CheckpointError(
                "\(file): \(down ?? up ?? alpha ?? module) has no other half (down and up, or A and B); the file is incomplete"
            )
        }
        let (a, b) = (try file.tensor(down), try file.tensor(up))
        let wanted = model.shape(of: module + ".weight") ?? []
        let rank = a.shape.first ?? 0
        let inputs = wanted.dropFirst().reduce(1, *)
        guard rank > 0, b.shape.count >= 2, b.shape[0] == wanted.first, b.count == b.shape[0] * rank,
            a.count == rank * inputs
        else {
            throw CheckpointError(
                "\(file): \(down) \(a.shape) and \(up) \(b.shape) make no change of \(module), which is \(wanted)")
        }
        var scale = try settings?.scale(of: module, rank: rank) ?? 1
        if let alpha, let number = try file.tensor(alpha).scalars.first { scale = number / Float(rank) }
        for (key, isFinite) in [(down, a.isFinite), (up, b.isFinite), (alpha ?? module, scale.isFinite)] where !isFinite
        {
            throw CheckpointError(
                "\(file): \(key) holds numbers that are not finite (NaN or infinity); the LoRA's file is damaged, or its "
                    + "training or conversion to half precision failed: download it again or use another")
        }
        return LoRA.Change(down: a, up: b, scale: scale)
    }
}
