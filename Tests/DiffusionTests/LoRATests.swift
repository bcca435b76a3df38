import Checkpoint
import Diffusion
import Foundation
import TensorEngine
import Testing

/// Namings and faults of LoRA files; the arithmetic against diffusers is golden case `lora`.
@Suite struct LoRATests {
    private let module = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    private func random(_ shape: [Int], _ seed: UInt64) -> Tensor {
        Tensor(Philox(seed: seed).normal(shape.reduce(1, *)), shape: shape)
    }
    private func file(_ tensors: [String: Tensor], metadata: [String: String] = [:]) throws -> SafetensorsFile {
        try SafetensorsFile(SafetensorsWriter.data(tensors, metadata: metadata), name: "lora.safetensors")
    }
    private func model() throws -> SafetensorsFile {
        try file([
            module + ".weight": random([6, 5], 1), module + ".bias": random([6], 2),
            module.replacing("to_q", with: "to_out.0") + ".weight": random([6, 6], 3),
        ])
    }

    @Test func everyNamingMeansTheSame() throws {
        let (down, up) = (random([2, 5], 4), random([6, 2], 5))
        let namings: [[String]] = [
            [
                "lora_unet_" + module.replacing(".", with: "_") + ".lora_down.weight",
                "lora_unet_" + module.replacing(".", with: "_") + ".lora_up.weight",
            ],
            ["unet.\(module).lora_A.weight", "unet.\(module).lora_B.weight"],
            ["\(module).lora_A.weight", "\(module).lora_B.weight"],
            ["\(module).lora_A.faceid_0.weight", "\(module).lora_B.faceid_0.weight"],
            ["unet.\(module).lora.down.weight", "unet.\(module).lora.up.weight"],
            [
                "unet." + module.replacing("to_q", with: "processor.to_q_lora.down.weight"),
                "unet." + module.replacing("to_q", with: "processor.to_q_lora.up.weight"),
            ],
        ]
        let base = try model()
        let w = try base.tensor(module + ".weight")
        let want = (w + up.linear(down.transposed()).scaled(by: 0.5)).scalars
        for keys in namings {
            let lora = try LoRA(file([keys[0]: down, keys[1]: up]), for: base)
            let got = try LoRA.applied([(lora, 0.5)], to: base).tensor(module + ".weight").scalars
            #expect(zip(got, want).allSatisfy { abs($0 - $1) < 1e-5 }, "\(keys)")
        }
    }

    @Test func severalAddUpAndAlphaScales() throws {
        let base = try model()
        let kohya = "lora_unet_" + module.replacing(".", with: "_")
        let (d1, u1, d2, u2) = (random([2, 5], 4), random([6, 2], 5), random([1, 5], 6), random([6, 1], 7))
        let first = try LoRA(
            file([
                "\(kohya).lora_down.weight": d1, "\(kohya).lora_up.weight": u1,
                "\(kohya).alpha": Tensor([1], shape: [1]),
            ]),
            for: base)
        let second = try LoRA(
            file(["unet.\(module).lora_A.weight": d2, "unet.\(module).lora_B.weight": u2]), for: base)
        let changed = LoRA.applied([(first, 1), (second, -2)], to: base)
        let want =
            (try base.tensor(module + ".weight") + u1.linear(d1.transposed()).scaled(by: 0.5)
            + u2.linear(d2.transposed()).scaled(by: -2)).scalars
        let got = try changed.tensor(module + ".weight").scalars
        #expect(zip(got, want).allSatisfy { abs($0 - $1) < 1e-5 })
        #expect(try changed.tensor(module + ".bias").scalars == base.tensor(module + ".bias").scalars)
    }

    @Test func faultsAreNamed() throws {
        let base = try model()
        let (a, b) = (random([2, 5], 4), random([6, 2], 5))
        let faults: [([String: Tensor], String)] = [
            (["unet.\(module).lora_A.weight": a], "no other half"),
            (
                ["unet.\(module).lora_A.weight": a, "unet.\(module).lora_B.weight": random([7, 2], 5)], "make no change"
            ),
            (["unet.other.to_q.lora_A.weight": a, "unet.other.to_q.lora_B.weight": b], "does not have"),
            (["unet.\(module).hada_w1_a": a], "LoHa"),
            (["unet.\(module).lokr_w1": a], "LoKr"),
            (["unet.\(module).dora_scale": a], "DoRA"),
            (["unet.\(module).lora_magnitude_vector.weight": a], "DoRA"),
            (["unet.\(module).lora_A.weight": a, "unet.\(module).lora_B.bias": b], "biases"),
            (
                ["unet.\(module).lora_A.weight": a, "unet.\(module).lora_B.weight": b.scaled(by: .nan)],
                "\(module).lora_B.weight holds numbers that are not finite"
            ),
            (
                [
                    "unet.\(module).lora_A.weight": a.scaled(by: .infinity), "unet.\(module).lora_B.weight": b,
                ], "\(module).lora_A.weight holds numbers that are not finite"
            ),
            (["something": a], "holds no LoRA"),
        ]
        for (tensors, words) in faults {
            #expect { try LoRA(file(tensors), for: base) } throws: {
                "\($0)".contains(words) && "\($0)".contains("lora.safetensors")
            }
        }
    }

    /// (alpha / rank) by peft's settings in the file's metadata; diffusers' own latents of such files are a case of
    /// RequestTests.
    @Test func peftSaysHowMuch() throws {
        let base = try model()
        let keys = [
            "unet.\(module).lora_A.weight": random([2, 5], 4), "unet.\(module).lora_B.weight": random([6, 2], 5),
        ]
        func change(_ settings: String) throws -> Float {
            let lora = try LoRA(file(keys, metadata: ["lora_adapter_metadata": settings]), for: base)
            let changed = try LoRA.applied([(lora, 1)], to: base).tensor(module + ".weight").scalars
            let plain = try base.tensor(module + ".weight").scalars
            let whole = try LoRA.applied([(LoRA(file(keys), for: base), 1)], to: base).tensor(module + ".weight")
                .scalars
            return (changed[0] - plain[0]) / (whole[0] - plain[0])
        }
        for (settings, want) in [
            (#"{"unet.lora_alpha": 6}"#, 3),
            (#"{"unet.lora_alpha": 6, "unet.use_rslora": true}"#, 6 / 2.0.squareRoot()),
            (#"{"unet.lora_alpha": 6, "unet.alpha_pattern": {"attn1.to_q": 1}}"#, 0.5),
            (#"{"unet.lora_alpha": 6, "unet.alpha_pattern": {"\#(module)": 1, "other": 9}}"#, 0.5),
            (#"{"unet.lora_alpha": 6, "unet.alpha_pattern": {"tn1.to_q": 1}, "unet.rank_pattern": {"a": 7}}"#, 3),
            (#"{"text_encoder.lora_alpha": 6}"#, 1), (#"{"unet.lora_alpha": 6, "unet.use_dora": false}"#, 3),
        ] {
            let got = try change(settings)
            #expect(abs(Double(got) - want) < 1e-3, "\(settings): \(got)")
        }
        for (settings, words) in [
            (#"{"unet.use_dora": true}"#, "unet.use_dora"), (#"{"unet.lora_bias": true}"#, "unet.lora_bias"),
            (#"{"unet.alpha_pattern": {"^mid.*q": 1}}"#, "'^mid.*q'"),
            (#"{"unet.alpha_pattern": {"to_q": 1, "attn1.to_q": 2}}"#, "attn1.to_q and to_q both"),
        ] {
            #expect { try change(settings) } throws: {
                "\($0)".contains(words) && "\($0)".contains("lora.safetensors")
            }
        }
    }

    @Test func eachModelTakesItsOwnPart() throws {
        let (down, up) = (random([2, 5], 4), random([6, 2], 5))
        let text = "text_model.encoder.layers.0.self_attn.q_proj"
        let tower = try file([text + ".weight": random([6, 5], 8)])
        for (downName, upName) in [
            (
                "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight",
                "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight"
            ),
            ("text_encoder.\(text).lora_A.weight", "text_encoder.\(text).lora_B.weight"),
            ("text_encoder.\(text).lora_linear_layer.down.weight", "text_encoder.\(text).lora_linear_layer.up.weight"),
            (
                "text_encoder." + text.replacing("q_proj", with: "to_q_lora.down.weight"),
                "text_encoder." + text.replacing("q_proj", with: "to_q_lora.up.weight")
            ),
        ] {
            let both = try file([
                downName: down, upName: up, "unet.\(module).lora_A.weight": down, "unet.\(module).lora_B.weight": up,
            ])
            let lora = try LoRA(both, for: tower, part: .textEncoder)
            let got = try LoRA.applied([(lora, 2)], to: tower).tensor(text + ".weight").scalars
            // As transformers 5 saves it.
            let bare = String(text.trimmingPrefix("text_model."))
            let tower5 = try file([bare + ".weight": random([6, 5], 8)])
            let lora5 = try LoRA(both, for: tower5, part: .textEncoder)
            #expect(try LoRA.applied([(lora5, 2)], to: tower5).tensor(bare + ".weight").scalars == got)
            let want = (try tower.tensor(text + ".weight") + up.linear(down.transposed()).scaled(by: 2)).scalars
            #expect(zip(got, want).allSatisfy { abs($0 - $1) < 1e-5 }, "\(downName)")
            #expect(try !LoRA(both, for: model()).isEmpty)
            #expect(try LoRA(file([downName: down, upName: up]), for: model()).isEmpty)
        }
    }
}
