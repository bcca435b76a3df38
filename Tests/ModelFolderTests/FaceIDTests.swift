import Checkpoint
import Diffusion
import Foundation
import IPAdapter
import ImageIO
import ModelFolder
import TensorEngine
import TestSupport
import Testing

/// FaceID adapters in every form of their files, against latents of diffusers' pipeline with the same file
/// (`Fixtures/requests/make.py`).
@Suite struct FaceIDTests {
    /// Three faces' embeddings of length 1, as make.py has them.
    private let faces: [Tensor] = (0..<3).map { i in
        let face = FormulaWeights.formula("face.\(i)", [24])
        return face.scaled(by: 1 / face.scalars.reduce(0) { $0 + $1 * $1 }.squareRoot())
    }

    private func latent(
        _ model: RequestModel, _ aggregation: Aggregation = .single, loras: [LoRAChoice] = []
    ) throws -> [Float] {
        let rows = Tensor.stacked((aggregation == .single ? [faces[0]] : faces).map { $0.reshaped([1, 24]) })
        let tokens = try PersonConditioner(model.folder)(aggregation, rows)
        return try model.latent(.ddim, loras: loras, tokens: tokens).scalars
    }

    private func expect(_ got: [Float], isDiffusers name: String, _ comment: String = "") throws {
        let wanted = try SafetensorsFile(RequestModel.fixtures.appendingPathComponent("latents.safetensors"))
        let error = RequestTests.distance(got, try wanted.tensor(name).scalars)
        #expect(error < 1e-4, "\(name) \(comment): relative RMS \(error)")
    }

    private func withModel(_ file: String = "faceid.safetensors", _ body: (RequestModel) throws -> Void) throws {
        try RequestTests().withModel { try body($0.adapted(by: RequestModel.fixtures.appendingPathComponent(file))) }
    }

    @Test func onePhotoAndPooledOnesAgreeWithDiffusers() throws {
        try withModel { model in
            try expect(latent(model), isDiffusers: "faceid")
            try expect(latent(model, .max), isDiffusers: "faceid_max")
            try expect(latent(model, .avg), isDiffusers: "faceid_avg")
            // The adapter's own LoRA and one of the request add up.
            try expect(
                latent(model, loras: [LoRAChoice(name: "lora_a", weight: 0.7)]), isDiffusers: "faceid_and_lora")
        }
    }

    @Test func everyFormOfTheFileGivesTheSame() throws {
        try withModel { model in
            let first = try latent(model)
            for name in ["faceid.bin", "faceid-diffusers.safetensors"] {
                let other = try model.adapted(by: RequestModel.fixtures.appendingPathComponent(name))
                #expect(try latent(other) == first, "\(name)")
            }
            // The LoRA in a file of its own beside the rest, as h94 publishes it too.
            let whole = try SafetensorsFile(RequestModel.fixtures.appendingPathComponent("faceid.safetensors"))
            let rest = try Dictionary(
                uniqueKeysWithValues: whole.names.filter { !$0.contains("_lora.") }.map { ($0, try whole.tensor($0)) })
            let file = model.folder.url.appendingPathComponent("ip-adapter-faceid_sd15.safetensors")
            try SafetensorsWriter.write(rest, to: file)
            let bare = try model.adapted(by: file)
            let (alone, hash) = (try latent(bare), try bare.folder.pictureHash())
            #expect(RequestTests.distance(alone, first) > 1e-3)
            try FileManager.default.copyItem(
                at: RequestModel.fixtures.appendingPathComponent("faceid-lora.safetensors"),
                to: model.folder.url.appendingPathComponent("ip-adapter-faceid_sd15_lora.safetensors"))
            let both = try model.adapted(by: file)
            #expect(try latent(both) == first)
            #expect(try both.folder.pictureHash() != hash)
        }
    }

    @Test func picturesWithoutPeopleAreNotChanged() throws {
        try RequestTests().withModel { plain in
            let model = try plain.adapted(by: RequestModel.fixtures.appendingPathComponent("faceid.safetensors"))
            var text = model
            text.pipeline = try PicturePipeline(model.folder, adapted: false)
            func alone(_ model: RequestModel) throws -> [Float] {
                try model.latent(.ddim) { $0.ipAdapterScale = 0 }.scalars
            }
            let tokens = try PersonConditioner(model.folder)(.single, faces[0].reshaped([1, 24]))
            func drawn(_ model: RequestModel) throws -> [Float] {
                try model.latent(.ddim, tokens: tokens) { $0.ipAdapterScale = 0 }.scalars
            }
            #expect(try drawn(text) == alone(plain))
            // As in diffusers, the LoRA counts whatever λ is.
            #expect(try RequestTests.distance(drawn(model), alone(plain)) > 1e-3)
            // A person's own weights go without it.
            text.pipeline.unet = try model.folder.unet(fineTunedBy: [:])
            #expect(try drawn(text) == alone(plain))
        }
    }

    @Test func facesAreGivenOrMadeByTheFoldersArcFace() throws {
        try withModel { model in
            let photo = RequestModel.picture
            func reader() throws -> PhotoReader { try PhotoReader(model.folder) }
            #expect(try reader().readsFaces)
            #expect(try reader()(face: faces[0].scalars).scalars == faces[0].scalars)
            func refusal(_ words: String..., of body: () throws -> Tensor) {
                #expect { try body() } throws: { error in words.allSatisfy { "\(error)".contains($0) } }
            }
            refusal("512 numbers", "reads 24") { try reader()(face: .init(repeating: 0.1, count: 512)) }
            refusal("no face embedding", "photo.face.npy", "evaluation/arcface") { try reader()(photo) }
            let before = try model.folder.photoHash()
            try FaceNetworks.writeArcFace(model.folder.url, width: 24)
            refusal("evaluation/mtcnn", "pnet.pt") { try reader()(photo) }
            try FaceNetworks.writeMTCNN(model.folder.url, seesFaces: false)
            refusal("no face is found") { try reader()(photo) }
            let blind = try model.folder.photoHash()
            try FaceNetworks.writeMTCNN(model.folder.url, seesFaces: true)
            let made = try reader()(photo)
            #expect(made.shape == [24] && abs(made.scalars.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
            let network = try #require(try IdentityNetwork(model.folder))
            #expect(network([photo])[0].embedding == made.scalars.map(Double.init))
            #expect(try Set([before, blind, model.folder.photoHash()]).count == 3)
            try FaceNetworks.writeArcFace(model.folder.url, width: 8)
            refusal("8 numbers", "reads 24") { try reader()(photo) }
            // Without a vision tower nothing compares pictures with prompts.
            #expect(try !AlignmentNetwork.isThere(model.folder))
            #expect { try PhotoEncoder(model.folder) } throws: { "\($0)".contains("FaceID") }
        }
    }

    @Test func anAdapterOfAnotherModelIsRefusedByItsKey() throws {
        try withModel { model in
            let whole = try SafetensorsFile(RequestModel.fixtures.appendingPathComponent("faceid.safetensors"))
            func refusal(_ words: String, _ change: (inout [String: Tensor]) -> Void) throws {
                var tensors = try Dictionary(
                    uniqueKeysWithValues: whole.names.map { ($0, try whole.tensor($0)) })
                change(&tensors)
                let file = model.folder.url.appendingPathComponent("ip-adapter-faceid_other.safetensors")
                try SafetensorsWriter.write(tensors, to: file)
                #expect { try model.adapted(by: file) } throws: {
                    "\($0)".contains(words) && "\($0)".contains("ip-adapter-faceid_other")
                }
            }
            try refusal("ip_adapter.14.to_q_lora.down.weight") {
                $0["ip_adapter.14.to_q_lora.down.weight"] = .zeros([2, 16])
            }
            try refusal("no other half") { $0["ip_adapter.3.to_q_lora.up.weight"] = nil }
            try refusal("make no change") { $0["ip_adapter.0.to_q_lora.up.weight"] = .zeros([17, 2]) }
            try refusal("ip_adapter.7.to_k_ip.weight") { $0["ip_adapter.7.to_k_ip.weight"] = nil }
            try refusal("not finite") {
                $0["ip_adapter.0.to_k_lora.up.weight"]? = .init(repeating: .nan, shape: [16, 2])
            }
        }
    }
}
