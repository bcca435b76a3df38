internal import Checkpoint
internal import Diffusion
import Foundation
internal import TensorEngine

extension GoldenSuite {
    static func checkLoRA(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let unetCase = try golden.other("unet")
        let base = unetCase.source()
        let sample = try golden.tensor("in.sample").channelsLast()
        let timesteps = try golden.tensor("in.timestep").scalars
        let text = try golden.tensor("in.encoder_hidden_states")
        func predict(_ source: any TensorSource) throws -> Tensor {
            let unet = try UNet2DConditionModel(Weights(source), unetCase.config(UNetConfig.self))
            return unet(sample, timesteps: timesteps, unet.conditioning(text)).channelsFirst()
        }
        try comparison.compare("out.without_lora.sample", of: golden, predict(base))
        for (naming, name) in [("kohya", "lora_kohya.safetensors"), ("peft", "pytorch_lora_weights.safetensors")] {
            let file = try SafetensorsFile(golden.folder.appendingPathComponent(name))
            let changed = LoRA.applied(
                [(try LoRA(file, for: base), Float(try golden.number("weight")))], to: base)
            try comparison.compare("out.\(naming).sample", of: golden, predict(changed))
            for merged in golden.names("out.\(naming).merged.") {
                let key = String(merged.dropFirst("out.\(naming).merged.".count))
                try comparison.compare(merged, of: golden, changed.tensor(key))
            }
        }
    }
}
