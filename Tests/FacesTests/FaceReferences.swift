import Checkpoint
import Foundation
import ImageIO
import TensorEngine
import Testing

/// What Fixtures/make.py wrote: names and shapes of weights that are a formula, and results of facenet-pytorch.
struct FaceReferences {
    private let json: [String: Any]

    init() throws {
        let found = Bundle.module.url(forResource: "Fixtures/faces", withExtension: "json")
        let url = try #require(found)
        json = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
    }

    func part(_ name: String) throws -> [String: Any] { try #require(json[name] as? [String: Any]) }
}

extension [String: Any] {
    func integer(_ key: String) throws -> Int { try #require(self[key] as? Int) }
    func numbers(_ key: String) throws -> [Double] { try #require(self[key] as? [Double]) }
    func cases() throws -> [[String: Any]] { try #require(self["cases"] as? [[String: Any]]) }

    /// The weights whose names and shapes are here.
    func weights(_ rows: Any?, seed: Int) throws -> FormulaWeights {
        let rows = try #require(rows as? [[Any]])
        return FormulaWeights(
            rows: try rows.map { (try #require($0[0] as? String), try #require($0[1] as? [Int])) }, seed: seed)
    }
}

private func hash32(_ i: Int, _ k: Int, _ seed: Int) -> UInt32 {
    var h = UInt32(truncatingIfNeeded: i) &* 2_654_435_761 &+ UInt32(truncatingIfNeeded: (k + 1) * 40503 + seed)
    h ^= h >> 16
    h = h &* 2_246_822_519
    h ^= h >> 13
    h = h &* 3_266_489_917
    return h ^ (h >> 16)
}

/// make.py's `fill`.
struct FormulaWeights: TensorSource {
    let description = "formula weights"
    let names: [String]
    private let shapes: [String: [Int]]
    private let places: [String: Int]
    private let seed: Int

    init(rows: [(String, [Int])], seed: Int) {
        names = rows.map(\.0)
        shapes = Dictionary(rows) { first, _ in first }
        places = Dictionary(rows.enumerated().map { ($1.0, $0) }) { first, _ in first }
        self.seed = seed
    }

    func shape(of name: String) -> [Int]? { shapes[name] }

    func tensor(_ name: String) throws -> Tensor {
        let (shape, place) = (try #require(shapes[name]), try #require(places[name]))
        let fanIn = shape.dropFirst().reduce(1, *)
        let isHead = ["conv4_2", "dense5_2", "dense6_2", "dense6_3"].contains { name.contains($0) }
        let size = (6 / Double(fanIn)).squareRoot() * (isHead ? 0.1 : 1)
        let isScale = name.hasSuffix("running_var") || name.hasSuffix(".weight")
        let numbers = (0..<shape.reduce(1, *)).map { i in
            let u = 2 * (Double(hash32(i, place, seed)) / 4_294_967_296) - 1
            if shape.count > 1 { return Float(size * u) }
            if name.contains("prelu") { return Float(0.25 + 0.2 * u) }
            return Float(isScale ? 1 + 0.2 * u : 0.2 * u)
        }
        return Tensor(numbers, shape: shape)
    }
}

/// make.py's `picture`.
func picture(_ width: Int, _ height: Int, seed: Int) -> RGBImage {
    var pixels: [UInt8] = []
    for y in 0..<height {
        for x in 0..<width {
            for c in 0..<3 { pixels.append(UInt8(hash32((y / 4 * 1000 + x / 4) * 3 + c, 0, seed) >> 24)) }
        }
    }
    return RGBImage(width: width, height: height, pixels: pixels)
}
