internal import CLIP
internal import Checkpoint
import Foundation
internal import ImageIO
internal import TensorEngine

extension GoldenSuite {
    /// PNG exactly, but for 16-bit files and blending with white (one level); JPEG within 3 levels, 0.5 on average.
    static func checkImages(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let folder = golden.folder.appendingPathComponent("files")
        for name in try golden.object("files").keys.sorted() {
            let image = try ImageFile.decode(Data(contentsOf: folder.appendingPathComponent(name)))
            let isJPEG = name.hasSuffix(".jpg")
            let allowed: Double = isJPEG ? 3 : name.contains("16") ? 1 : 0
            func compare(_ tensor: String, _ got: RGBImage, _ levels: Double) throws {
                guard golden.tensors.shape(of: tensor) == [got.height, got.width, 3] else {
                    return comparison.fail("\(tensor): \(got.width)×\(got.height) is not its size")
                }
                let want = try golden.tensors.doubles(tensor)
                // An allowance of 0 levels is an allowance of less than one.
                comparison.compare(tensor, got.pixels.map(Double.init), want, Tolerance(atol: levels + 0.5, rtol: 0))
                let mean = zip(got.pixels, want).reduce(0) { $0 + abs(Double($1.0) - $1.1) } / Double(want.count)
                if isJPEG && mean > 0.5 { comparison.fail("\(tensor): \(mean) levels off on average") }
            }
            try compare("out.\(name).rgb", image.rgb, allowed)
            if golden.has("out.\(name).over_white") { try compare("out.\(name).over_white", image.overWhite, 1) }
        }
        for name in try golden.strings("must_fail_cleanly") {
            do {
                _ = try ImageFile.decode(Data(contentsOf: folder.appendingPathComponent(name)))
                comparison.fail("\(name): was read without an error")
            } catch is ImageError {}
        }
    }

    /// The processor's crops within one level (0.017 in pixel values); the tower on the case's own pixel values.
    static func checkVision(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let weights = golden.weights()
        let model = try CLIPVisionModel(weights, golden.config(CLIPVisionConfig.self))
        try weights.requireAllTaken()
        let processor = CLIPImageProcessor(size: model.config.imageSize)
        for name in golden.names("in.image.") {
            guard let shape = golden.tensors.shape(of: name) else { throw golden.missing(name) }
            let image = RGBImage(width: shape[1], height: shape[0], pixels: try golden.tensors.bytes(name))
            let crop = processor.crop(image)
            let tag = name.dropFirst("in.image.".count)
            comparison.compare(
                "out.crop.\(tag)", crop.pixels.map(Double.init), try golden.tensors.doubles("out.crop.\(tag)"),
                Tolerance(atol: 1, rtol: 0))
            if tag == "up" {
                try comparison.compare(
                    "out.pixel_values", of: golden, processor(image).channelsFirst(), Tolerance(atol: 0.017, rtol: 0))
            }
        }
        let output = model(try golden.tensor("out.pixel_values").channelsLast())
        try comparison.compare("out.image_embeds", of: golden, output.imageEmbeds)
        let states = output.hiddenStates
        try comparison.compare("out.hidden_states_minus_2", of: golden, states[states.count - 2])
        let last = states[states.count - 1]
        try comparison.compare(
            "out.class_token_before_post_layernorm", of: golden,
            last.reshaped([-1, last.shape[2]]).gathered((0..<last.shape[0]).map { $0 * last.shape[1] }))
    }
}
