import Checkpoint
import Diffusion
import Foundation
import ModelFolder
import TensorEngine
import Testing

/// A model with a person's own weights in it.
@Suite struct FineTunedUNetTests {
    private let projection = "mid_block.attentions.0.transformer_blocks.0.attn2.to_q"

    @Test func lowRankChangesEqualTheWholeTensorTheyStandFor() throws {
        try withFolder { folder in
            let base = try folder.unetSource().tensor("\(projection).weight")
            let (rows, columns) = (base.shape[0], base.shape[1])
            let b = Tensor((0..<rows * 2).map { Float($0 % 7) * 0.05 }, shape: [rows, 2])
            let a = Tensor((0..<columns * 2).map { Float($0 % 5) * 0.1 }, shape: [2, columns])
            var product = [Float](repeating: 0, count: rows * columns)
            for i in 0..<rows {
                for j in 0..<columns {
                    product[i * columns + j] =
                        b.scalars[i * 2] * a.scalars[j] + b.scalars[i * 2 + 1] * a.scalars[columns + j]
                }
            }
            let low = try predict(
                folder, ["unet.\(projection).lora_A.weight": a, "unet.\(projection).lora_B.weight": b])
            let whole = try predict(
                folder, ["\(projection).weight": base + Tensor(product, shape: [rows, columns])])
            let plain = try predict(folder, [:])
            #expect(zip(low, whole).allSatisfy { abs($0 - $1) < 1e-4 })
            #expect(zip(plain, whole).contains { abs($0 - $1) > 1e-3 })
        }
    }

    /// diffusers writes [out, in, 1, 1], our models hold [out, in].
    @Test func pointwiseConvolutionsMayBeMatrices() throws {
        try withFolder { folder in
            let name = "mid_block.attentions.0.proj_in.weight"
            let kernel = try folder.unetSource().tensor(name)
            #expect(kernel.shape.suffix(2) == [1, 1])
            let changed = kernel.scaled(by: 1.5)
            let matrix = changed.reshaped(Array(kernel.shape.prefix(2)))
            let predicted = try predict(folder, [name: matrix])
            #expect(try predicted == predict(folder, [name: changed]))
            #expect(try predicted != predict(folder, [:]))
            #expect(DiffusersForm.tensors([name: matrix], part: "unet")[name]?.shape == kernel.shape)
            let plain = "\(projection).weight"
            #expect(DiffusersForm.tensors([plain: matrix], part: "unet")[plain]?.shape == matrix.shape)
        }
    }

    @Test func weightsOfAnotherModelAreRefusedByName() throws {
        try withFolder { folder in
            #expect(throws: CheckpointError.self) { try folder.unet(fineTunedBy: ["no.such.weight": .zeros([2])]) }
            #expect {
                try folder.unet(fineTunedBy: ["\(projection).weight": .zeros([2, 2])])
            } throws: {
                "\($0)".contains(projection) && "\($0)".contains("another model")
            }
            #expect(throws: CheckpointError.self) {
                try folder.unet(fineTunedBy: ["unet.no.such.lora_A.weight": .zeros([2, 2])])
            }
        }
    }

    private func predict(_ folder: PipelineFolder, _ weights: [String: Tensor]) throws -> [Float] {
        let unet = try folder.unet(fineTunedBy: weights)
        let channels = unet.config.inChannels
        let x = Tensor((0..<16 * 16 * channels).map { Float($0 % 11) * 0.1 - 0.5 }, shape: [1, 16, 16, channels])
        let states = Tensor((0..<77 * 96).map { Float($0 % 13) * 0.1 }, shape: [1, 77, 96])
        return unet(x, timesteps: [10], unet.conditioning(states)).scalars
    }

    private func withFolder(_ body: (PipelineFolder) throws -> Void) throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("mini-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: url) }
        try Miniature.write(to: url, seed: 3)
        try body(PipelineFolder(url))
    }
}
