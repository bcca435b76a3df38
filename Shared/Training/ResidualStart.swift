internal import Checkpoint
internal import TensorEngine

/// Random weights for a denoiser's training: the last layer of every residual branch is zero, so that at first each
/// block passes its input on (as DDPM's and guided diffusion's `zero_module`).
struct ResidualStart: TensorSource {
    let random: RandomWeights

    var description: String { random.description }
    var names: [String] { random.names }
    func shape(of name: String) -> [Int]? { random.shape(of: name) }
    func tensor(_ name: String) throws -> Tensor { try random.tensor(name) }
    func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        let fresh = try random.tensor(name, shape: shape)
        let isLast = [".conv2.weight", ".proj_out.weight"].contains { name.hasSuffix($0) } || name == "conv_out.weight"
        return isLast ? .zeros(shape) : fresh
    }
}
