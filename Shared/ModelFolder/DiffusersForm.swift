public import Foundation
public import TensorEngine

/// The form in which diffusers and transformers expect what we write, where ours is shorter: their pipelines open a
/// folder of ours as it is (`StableDiffusionPipeline.from_pretrained`).
public enum DiffusersForm {
    /// Names of convolutions of 1×1, which are plain matrices to us.
    private static let pointwise = ["conv_shortcut", "quant_conv", "post_quant_conv", "proj_in", "proj_out"]

    /// A part's tensors: in a UNet and a VAE, kernels of 1×1 convolutions are [out, in, 1, 1].
    public static func tensors(_ tensors: [String: Tensor], part: String) -> [String: Tensor] {
        guard ["unet", "vae"].contains(part) else { return tensors }
        return Dictionary(
            uniqueKeysWithValues: tensors.map { name, tensor in
                let isKernel = pointwise.contains { name == "\($0).weight" || name.hasSuffix(".\($0).weight") }
                return (name, isKernel && tensor.shape.count == 2 ? tensor.reshaped(tensor.shape + [1, 1]) : tensor)
            })
    }

    /// A part's `config.json`: its sizes, the name of its class, and what a class of that name must be told besides.
    public static func config(_ sizes: some Encodable, part: String) throws -> Data {
        let encoded = try JSONSerialization.jsonObject(with: JSONEncoder().encode(sizes))
        guard var config = encoded as? [String: Any] else { preconditionFailure("a configuration is an object") }
        let depth = (config["block_out_channels"] as? [Int])?.count ?? 0
        switch part {
        case "unet": config["_class_name"] = "UNet2DConditionModel"
        case "vae":
            config["_class_name"] = "AutoencoderKL"
            config["down_block_types"] = Array(repeating: "DownEncoderBlock2D", count: depth)
            config["up_block_types"] = Array(repeating: "UpDecoderBlock2D", count: depth)
        case "text_encoder":
            (config["architectures"], config["model_type"]) = (["CLIPTextModel"], "clip_text_model")
            // The last token of the vocabulary ends a caption, the one before begins it.
            if let size = config["vocab_size"] as? Int {
                config["bos_token_id"] = size - 2
                config["eos_token_id"] = size - 1
                config["pad_token_id"] = size - 1
            }
        case "ip_adapter/image_encoder":
            config["architectures"] = ["CLIPVisionModelWithProjection"]
            config["model_type"] = "clip_vision_model"
        default: break
        }
        return try JSONSerialization.data(
            withJSONObject: config, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    }
}
