internal import Checkpoint
public import Diffusion
public import TensorEngine

extension PipelineFolder {
    /// The folder's UNet with a person's own weights in it, and LoRAs on top.
    ///
    /// - Parameters:
    ///   - weights: whole tensors under the UNet's keys, or LoRA's A and B under peft's
    ///   - chosen: LoRAs to merge
    ///   - adapted: for pictures with the IP-Adapter; if that is a FaceID, its own LoRA is merged too
    /// - Throws: `CheckpointError` for weights of another model
    public func unet(
        fineTunedBy weights: [String: Tensor], loras chosen: AddOns.Chosen? = nil, adapted: Bool = false
    ) throws -> UNet2DConditionModel {
        let base = try unetSource()
        for (name, tensor) in weights {
            guard let changed = Changed.target(of: name), let shape = base.shape(of: changed) else {
                throw CheckpointError("\(base.description) has no \(name): these weights were trained on another model")
            }
            guard changed != name || shape.isSameButForOnes(as: tensor.shape) else {
                throw CheckpointError(
                    "\(name) is \(tensor.shape), \(base.description) has \(shape): these weights were trained on another "
                        + "model")
            }
        }
        var loras = try (chosen?.loras ?? []).map {
            (try LoRA(CheckpointFile.open($0.file), for: base), $0.choice.weight)
        }
        if adapted, let own = try adapterLoRA() { loras.insert((own, 1), at: 0) }
        return try unet(LoRA.applied(loras, to: Changed(base: base, weights: weights)))
    }
}

/// A base with whole tensors replaced, or changed by B A where `weights` has peft's names.
private struct Changed: TensorSource {
    let base: any TensorSource
    let weights: [String: Tensor]

    var description: String { base.description }
    var names: [String] { base.names }
    func shape(of name: String) -> [Int]? { base.shape(of: name) }

    func tensor(_ name: String) throws -> Tensor {
        if let whole = weights[name] { return whole }
        let module = Self.prefix + name.dropLast(".weight".count)
        guard let a = weights[module + Self.a], let b = weights[module + Self.b] else { return try base.tensor(name) }
        return try base.tensor(name) + b.linear(a.transposed())
    }

    private static let (prefix, a, b) = ("unet.", ".lora_A.weight", ".lora_B.weight")

    /// The base's tensor that a tensor of this name replaces or changes.
    static func target(of name: String) -> String? {
        guard name.hasPrefix(prefix) else { return name }
        guard name.hasSuffix(a) || name.hasSuffix(b) else { return nil }
        return name.dropFirst(prefix.count).dropLast(a.count) + ".weight"
    }
}
