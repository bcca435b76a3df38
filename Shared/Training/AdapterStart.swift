internal import Checkpoint
internal import Diffusion
internal import TensorEngine

/// Where the training of an IP-Adapter begins: W'k and W'v as copies of each cross-attention's own W_k and W_v, as the
/// reference implementation does, the rest random.
struct AdapterStart: TensorSource {
    private let unet: any TensorSource
    private let random: RandomWeights
    /// Module names in the order of h94's odd numbers.
    private let modules: [String]

    init(_ model: UNet2DConditionModel, weights: any TensorSource, random: RandomWeights) {
        (unet, self.random) = (weights, random)
        modules = model.crossAttentionWidths.map(\.name)
    }

    var description: String { "a new IP-Adapter" }
    var names: [String] { random.names }
    func shape(of name: String) -> [Int]? { random.shape(of: name) }
    func tensor(_ name: String) throws -> Tensor { try random.tensor(name) }

    func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        let fresh = try random.tensor(name, shape: shape)
        let parts = name.split(separator: ".")
        guard parts.count == 4, parts[0] == "ip_adapter", let number = Int(parts[1]),
            modules.indices.contains(number / 2)
        else { return fresh }
        let own = "\(modules[number / 2]).\(parts[2] == "to_k_ip" ? "to_k" : "to_v").weight"
        return try unet.tensor(own, shape: shape)
    }
}
