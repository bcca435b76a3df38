internal import CLIP
internal import Checkpoint
import Foundation
internal import ImageIO
internal import TensorEngine

extension GoldenSuite {
    static func checkTokenizer(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let tokenizer = try BytePairTokenizer(
            vocab: Data(contentsOf: golden.folder.appendingPathComponent("vocab.json")),
            merges: Data(contentsOf: golden.folder.appendingPathComponent("merges.txt")),
            length: Int(golden.number("model_max_length")))
        struct Prompts: Decodable { var prompts: [String] }
        let results = try golden.decode(Prompts.self).prompts.map { tokenizer($0) }
        func compare(_ name: String, _ numbers: [Int]) throws {
            comparison.compare(name, numbers.map(Double.init), try golden.tensors.doubles(name))
        }
        try compare("out.input_ids", results.flatMap(\.ids))
        try compare("out.attention_mask", results.flatMap(\.attentionMask))
        try compare("out.untruncated_length", results.map(\.untruncatedLength))
    }

    static func checkText(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        var config = try golden.config(CLIPTextConfig.self)
        let ids = try golden.integers("in.input_ids")
        let length = config.maxPositionEmbeddings
        let rows = stride(from: 0, to: ids.count, by: length).map { Array(ids[$0..<$0 + length]) }
        for (activation, tag) in [(Activation.quickGelu, ""), (.gelu, "gelu.")] {
            config.hiddenAct = activation
            let weights = golden.weights()
            let model = try CLIPTextModel(weights, config)
            try weights.requireAllTaken()
            let output = model(rows)
            try comparison.compare("out.\(tag)last_hidden_state", of: golden, output.lastHiddenState)
            try comparison.compare(
                "out.\(tag)hidden_states_minus_2", of: golden, output.hiddenStates[output.hiddenStates.count - 2])
            try comparison.compare("out.\(tag)pooler_output", of: golden, output.pooled)
            if tag.isEmpty {
                try comparison.compare("out.embeddings", of: golden, output.hiddenStates[0])
                try comparison.compare("out.clip_skip_1", of: golden, model.clipSkip(output, 1))
            }
        }
    }
}
