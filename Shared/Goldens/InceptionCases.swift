internal import Checkpoint
import Foundation
internal import ImageIO
internal import ImageMetrics
internal import TensorEngine

extension GoldenSuite {
    /// The whole network on weights that are a formula; each output relative to its largest value, as the case says.
    static func checkInception(_ golden: GoldenCase, _ comparison: inout Comparison) throws {
        let weights = Weights(try FormulaWeights(golden))
        let network = try InceptionV3(weights)
        try weights.requireAllTaken()
        guard let shape = golden.tensors.shape(of: "in.image") else { throw golden.missing("in.image") }
        let (height, width) = (shape[2], shape[3])
        let planes = try golden.tensors.bytes("in.image")
        let pixels = (0..<height * width).flatMap { i in (0..<3).map { planes[$0 * height * width + i] } }
        let image = RGBImage(width: width, height: height, pixels: pixels)

        func compare(_ name: String, _ got: Tensor) throws {
            let largest = try golden.tensors.doubles(name).map(abs).max() ?? 0
            try comparison.compare(name, of: golden, got, Tolerance(atol: 1e-3 * largest, rtol: 0))
        }
        let side = InceptionV3.imageSize
        let resized = InceptionV3.resized(image)
        let every8th = stride(from: 0, to: side, by: 8).flatMap { y in
            stride(from: 0, to: side, by: 8).map { y * side + $0 }
        }
        let count = (side + 7) / 8
        let sampled = resized.reshaped([side * side, 3]).gathered(every8th).reshaped([1, count, count, 3])
        try compare("out.resized_every_8th", sampled.channelsFirst())
        let output = network([image])
        for (name, got) in zip(["64", "192", "768"], output.early) { try compare("out.\(name)", got) }
        try compare("out.2048", output.features)
        try compare("out.logits_unbiased", output.logitsUnbiased)
        try compare("out.logits", output.logits)
    }
}

/// The weights that case.json describes: names and shapes, and numbers from an integer hash of name and place.
private struct FormulaWeights: TensorSource {
    let description = "formula weights"
    let names: [String]
    private let shapes: [String: [Int]]
    private let seed: UInt32

    init(_ golden: GoldenCase) throws {
        guard let table = try golden.object("parameters")["rows"] as? [[Any]] else {
            throw golden.missing("parameters.rows")
        }
        let rows = try table.map { row in
            guard row.count >= 2, let name = row[0] as? String, let shape = row[1] as? [Int] else {
                throw golden.missing("parameters.rows")
            }
            return (name, shape)
        }
        names = rows.map(\.0).sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        shapes = Dictionary(rows) { first, _ in first }
        seed = UInt32(try golden.number("seed"))
    }

    func shape(of name: String) -> [Int]? { shapes[name] }

    func tensor(_ name: String) throws -> Tensor {
        guard let shape = shapes[name], let place = names.firstIndex(of: name) else {
            throw CheckpointError("there is no \(name)")
        }
        let count = shape.reduce(1, *)
        let fanIn = shape.dropFirst().reduce(1, *)
        let isPositive = name.hasSuffix("running_var") || name.hasSuffix(".weight")
        let numbers = (0..<count).map { i in
            let u = 2 * (Double(hash(UInt32(truncatingIfNeeded: i), UInt32(place))) / 4_294_967_296) - 1
            if shape.count > 1 { return Float((6 / Double(fanIn)).squareRoot() * u) }
            return Float(isPositive ? 1 + 0.2 * u : 0.2 * u)
        }
        return Tensor(numbers, shape: shape)
    }

    private func hash(_ i: UInt32, _ k: UInt32) -> UInt32 {
        var h = i &* 2_654_435_761 &+ (k &+ 1) &* 40503 &+ seed
        h ^= h >> 16
        h = h &* 2_246_822_519
        h ^= h >> 13
        h = h &* 3_266_489_917
        return h ^ (h >> 16)
    }
}
