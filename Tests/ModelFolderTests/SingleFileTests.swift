import Checkpoint
import Foundation
import ModelFolder
import TensorEngine
import Testing

/// Stable Diffusion's original single file, by the names that diffusers' own converters give its tensors
/// (Fixtures/make_names.py).
@Suite struct SingleFileTests {
    /// A file that has these names; each tensor is its place in the list.
    private struct Names: TensorSource {
        let description = "v1-5.safetensors"
        let names: [String]
        func shape(of name: String) -> [Int]? { names.contains(name) ? [1] : nil }
        func tensor(_ name: String) throws -> Tensor {
            Tensor([Float(try #require(names.firstIndex(of: name)))], shape: [1])
        }
    }

    private func pairs() throws -> [(original: String, name: String)] {
        let url = try #require(
            Bundle.module.url(forResource: "Fixtures/single-file-names.txt", withExtension: nil))
        return try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            return (words[0], words[1])
        }
    }

    @Test(arguments: [(SingleFilePart.Part.unet, 686), (.vae, 248)])
    func everyTensorIsFoundUnderDiffusersName(_ part: SingleFilePart.Part, _ count: Int) throws {
        let pairs = try pairs()
        let source = try SingleFilePart(Names(names: pairs.map(\.original)), part)
        let prefix = part == .unet ? "model.diffusion_model." : "first_stage_model."
        let own = pairs.enumerated().filter { $0.element.original.hasPrefix(prefix) }
        #expect(own.count == count)
        #expect(Set(source.names) == Set(own.map(\.element.name)))
        for (place, pair) in own { #expect(try source.tensor(pair.name).scalars == [Float(place)], "\(pair)") }
    }

    @Test func theTextTowerLosesItsPrefixOnly() throws {
        let start = "cond_stage_model.transformer."
        let names = [
            "text_model.embeddings.token_embedding.weight", "text_model.embeddings.position_ids",
            "text_model.final_layer_norm.bias",
        ]
        let source = try SingleFilePart(Names(names: names.map { start + $0 }), .text)
        #expect(Set(source.names) == [names[0], names[2]])
    }

    @Test func whatTheRulesDoNotKnowKeepsItsNameToBeReported() throws {
        let start = "model.diffusion_model."
        let file = Names(names: ["input_blocks.0.0.weight", "label_emb.0.0.weight"].map { start + $0 })
        #expect(try Set(SingleFilePart(file, .unet).names) == ["conv_in.weight", "label_emb.0.0.weight"])
        // The averaged weights and the autoencoder's own loss are no part of the model.
        let averaged = Names(names: [
            "first_stage_model.quant_conv.weight", "first_stage_model.loss.logvar",
            "model_ema.diffusion_modelinput_blocks00weight",
        ])
        #expect(try SingleFilePart(averaged, .vae).names == ["quant_conv.weight"])
    }

    @Test(arguments: [("conditioner.embedders.0.x", "XL"), ("cond_stage_model.model.ln_final.bias", "2.x")])
    func otherGenerationsAreRefusedByName(_ name: String, _ kind: String) {
        #expect { _ = try SingleFilePart(Names(names: [name]), .text) } throws: { "\($0)".contains(kind) }
    }

    @Test func anotherFileIsRefused() {
        #expect {
            _ = try SingleFilePart(
                Names(names: ["unet.conv_in.weight", "model.diffusion_model", "first_stage_model."]), .vae)
        } throws: { "\($0)".contains("v1-5.safetensors") && "\($0)".contains("first_stage_model.") }
    }
}
