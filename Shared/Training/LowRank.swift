public import Checkpoint
public import TensorEngine

/// Low-rank changes to a model's attention projections while they are trained (LoRA, arXiv 2106.09685; alpha = rank, as
/// diffusers' training scripts): W' = W + B A, A [rank, in] normal, B [out, rank] zero at the start.
///
/// A model made from ``source`` sees W', and gradients reach A and B alone. As W' is computed when a model asks for it,
/// a model is made anew for each batch.
public struct LowRankParameters: Sendable {
    /// A and B of each changed tensor under peft's names, `unet.<module>.lora_A.weight`.
    public let parameters: [String: Tensor]
    private let base: any TensorSource

    /// - Parameters:
    ///   - base: the frozen model
    ///   - rank: of every change
    public init(_ base: any TensorSource, rank: Int, seed: UInt64) throws {
        let random = RandomWeights(seed: seed)
        var parameters: [String: Tensor] = [:]
        for name in base.names where Self.isChanged(name) {
            guard let shape = base.shape(of: name), shape.count == 2 else { continue }
            guard rank >= 1, rank <= shape.min() ?? 0 else {
                throw CheckpointError("LoRA rank \(rank): \(name) is \(shape), so choose 1 to \(shape.min() ?? 0)")
            }
            let module = "unet." + name.dropLast(".weight".count)
            let a = try random.tensor("\(module).lora_A.weight", shape: [rank, shape[1]])
            parameters["\(module).lora_A.weight"] = .parameter(a)
            parameters["\(module).lora_B.weight"] = .parameter(.zeros([shape[0], rank]))
        }
        (self.base, self.parameters) = (base, parameters)
    }

    /// The projections of every attention, as diffusers' train_dreambooth_lora.
    private static func isChanged(_ name: String) -> Bool {
        [".to_q.weight", ".to_k.weight", ".to_v.weight", ".to_out.0.weight"].contains { name.hasSuffix($0) }
    }

    /// The model's tensors with the changes as they are now.
    public var source: some TensorSource { Changed(base: base, parameters: parameters) }

    private struct Changed: TensorSource {
        let base: any TensorSource
        let parameters: [String: Tensor]

        var description: String { base.description }
        var names: [String] { base.names }
        func shape(of name: String) -> [Int]? { base.shape(of: name) }
        func tensor(_ name: String) throws -> Tensor {
            let tensor = try base.tensor(name)
            let module = "unet." + name.dropLast(".weight".count)
            guard let a = parameters["\(module).lora_A.weight"], let b = parameters["\(module).lora_B.weight"] else {
                return tensor
            }
            return tensor + b.linear(a.transposed())
        }
    }
}
