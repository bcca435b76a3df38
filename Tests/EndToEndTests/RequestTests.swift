import Checkpoint
import Foundation
import ImageIO
import TensorEngine
import TestSupport
import Testing

/// What a request may ask for besides people, methods and prompts, through the command line tool and every stage.
extension EndToEndTests {
    @Test func everyKindOfRequest() async throws {
        try await Stack.run(portBase: 23000) { stack in
            let pictures = Requests(stack: stack)
            try pictures.putAddOns()
            let photo = try stack.photos().appending(
                path: #require(try FileManager.default.contentsOfDirectory(atPath: stack.photos().path).min()))
            let mask = stack.folder.appending(path: "mask.png")
            var half = RGBImage(width: 64, height: 64, colour: .zero)
            for i in 0..<64 * 32 * 3 { half.pixels[i] = 255 }
            try half.pngData().write(to: mask)

            let plain = try await pictures.one()
            #expect(
                plain.text.contains("Steps: 4") && plain.text.contains("Person: ") && plain.text.contains("Seed: 4"))
            #expect(plain.text.contains("Negative prompt: a hat") && plain.text.contains("Model hash: "))

            // Each of these changes the picture, and says so in the file.
            let changes: [([String], String)] = [
                (["--lora", "bend:0.5"], "bend: 0.5"), (["--clip-skip", "1"], "Clip skip: 1"),
                (["--layer-scales", #"{"down": 1, "up": {"block_1": 0.5}}"#], #""block_1\":0.5"#),
                (["--adapter-end", "0.5"], "IP-Adapter range: 0.0 to 0.5"),
                (["--init-image", photo.path, "--strength", "0.5"], "Denoising strength: 0.5"),
                (["--init-image", photo.path, "--mask-image", mask.path], "Mask: "),
                (["--width", "72", "--height", "104"], "Size: 72x104"),
            ]
            var seen: Set<[UInt8]> = [plain.image.pixels]
            for (options, words) in changes {
                let changed = try await pictures.one(options)
                #expect(seen.insert(changed.image.pixels).inserted, "\(options)")
                #expect(changed.text.contains(words), "\(words) in: \(changed.text)")
            }
            let word = try await pictures.one(prompt: "a photo of a zork person")
            #expect(seen.insert(word.image.pixels).inserted)
            try FileManager.default.removeItem(at: pictures.models.appending(path: "embeddings/zork.safetensors"))
            // The same words are other words once the file is gone: the cache of embeddings knows.
            let unknown = try await pictures.one(prompt: "a photo of a zork person")
            #expect(seen.insert(unknown.image.pixels).inserted)

            // Nothing that was asked for in between has changed what the plain request gives.
            #expect(try await pictures.one(["--idempotency-key", "again"]).file == plain.file)
            let silent = try await pictures.one(["--no-parameters"])
            #expect(silent.image == plain.image && !silent.text.contains("parameters"))

            let weighted = try await stack.queue(
                "--method", "ip-adapter-max,ip-adapter-avg", "--seeds", "7,9", "--photo-weights", "1,0.5", "--steps",
                "2",
                "--no-evaluation")
            #expect(try await stack.results(weighted).files.count == 4)

            let lost = ["generate", "--person", "Ann Lee", "--prompt", "x", "--lora", "nothing"]
            let words = try await stack.refusal(lost)
            #expect(words.contains("no LoRA 'nothing'") && words.contains("bend"), "\(words)")
            #expect(
                try await stack.refusal("generate", "--person", "Ann Lee", "--person", "Bob", "--prompt", "x").contains(
                    "one person"))
        }
    }
}

private struct Requests {
    let stack: Stack
    var models: URL { stack.folder.appending(path: "models") }

    /// A LoRA of the UNet and the text tower, and a word of two vectors.
    func putAddOns() throws {
        func put(_ path: String, _ tensors: [String: Tensor]) throws {
            let url = models.appending(path: path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try SafetensorsWriter.write(tensors, to: url)
        }
        func random(_ rows: Int, _ columns: Int, _ seed: UInt64) -> Tensor {
            Tensor(Philox(seed: seed).normal(rows * columns), shape: [rows, columns])
        }
        try put(
            "loras/bend.safetensors",
            [
                "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_q.lora_down.weight": random(2, 128, 1),
                "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_q.lora_up.weight": random(128, 2, 2),
                "lora_te_text_model_encoder_layers_0_self_attn_v_proj.lora_down.weight": random(2, 96, 3),
                "lora_te_text_model_encoder_layers_0_self_attn_v_proj.lora_up.weight": random(96, 2, 4),
            ])
        try put("embeddings/zork.safetensors", ["emb_params": random(2, 96, 5)])
    }

    /// The one picture of a request: its file, its pixels and what of the file's bytes is ASCII.
    func one(
        _ options: [String] = [], prompt: String = "a photo of a person"
    ) async throws -> (file: Data, image: RGBImage, text: String) {
        let said = try await stack.likeness(
            [
                "generate", "--person", "Ann Lee", "--prompt", prompt, "--negative-prompt", "a hat", "--method",
                "ip-adapter", "--seed", "4", "--steps", "4", "--no-evaluation",
            ] + options)
        let id = try #require(said.firstMatch(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.ignoresCase())?.output.0)
        let files = try await stack.results(String(id)).files
        let file = try #require(files.values.first)
        #expect(files.count == 1)
        // Scalars that are no ASCII would join the letters beside them to characters that no search finds.
        let text = String(decoding: file.map { 32..<127 ~= $0 ? $0 : UInt8(ascii: " ") }, as: UTF8.self)
        return (file, try ImageFile.decode(file).rgb, text)
    }
}
