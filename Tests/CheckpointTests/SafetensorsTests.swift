import Checkpoint
import Foundation
import TensorEngine
import Testing

@Suite struct SafetensorsTests {
    let tensors = ["a.weight": Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]), "b": Tensor([7], shape: [1])]

    @Test func whatIsWrittenIsRead() throws {
        let data = try SafetensorsWriter.data(tensors, metadata: ["heads": "4"])
        #expect(try SafetensorsWriter.data(tensors, metadata: ["heads": "4"]) == data)
        let file = try SafetensorsFile(data, name: "test")
        #expect(file.metadata == ["heads": "4"])
        #expect(Set(file.names) == ["a.weight", "b"])
        #expect(try file.tensor("a.weight").scalars == [1, 2, 3, 4, 5, 6])
        #expect(file.shape(of: "a.weight") == [2, 3])
        #expect(throws: CheckpointError.self) { try file.tensor("c") }
    }

    @Test func halfAndBrainFloatsAreWidened() throws {
        // 1, -2, 65504, the smallest subnormal of half precision; 1, -2, 3.140625, 0 of bfloat16.
        let halves: [UInt16] = [0x3c00, 0xc000, 0x7bff, 0x0001]
        let brains: [UInt16] = [0x3f80, 0xc000, 0x4049, 0x0000]
        let json =
            #"{"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[8,16]}}"#
        let file = try SafetensorsFile(
            raw(json, (halves + brains).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }), name: "t")
        #expect(try file.tensor("h").scalars == [1, -2, 65504, 0x1p-24])
        #expect(try file.tensor("b").scalars == [1, -2, 3.140625, 0])
    }

    @Test(arguments: [
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}}"#,
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#,
        #"{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
        #"{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
        #"{"x":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#,
        #"{"x":{"dtype":"F32","shape":[2]}}"#,
        #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
        "[]", "{", "",
    ])
    func malformedHeadersAreRefused(json: String) {
        #expect(throws: CheckpointError.self) {
            try SafetensorsFile(raw(json, Array(repeating: 0, count: 8)), name: "t")
        }
    }

    @Test func truncatedAndMutatedFilesNeverCrash() throws {
        let data = try SafetensorsWriter.data(tensors)
        for length in 0..<data.count {
            #expect(throws: CheckpointError.self) { try SafetensorsFile(data.prefix(length), name: "t") }
        }
        var read = 0
        for i in 0..<data.count {
            var mutated = data
            mutated[i] ^= UInt8(truncatingIfNeeded: 1 << (i % 8))
            guard let file = try? SafetensorsFile(mutated, name: "t") else { continue }
            for name in file.names { _ = try file.tensor(name) }
            read += 1
        }
        #expect(read > 0)
    }

    @Test func anEmptyOrMissingFileIsNamed() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).safetensors")
        let missing = #expect(throws: CheckpointError.self) { try SafetensorsFile(url) }
        #expect(missing?.description.contains(url.path) == true)
        try Data().write(to: url)
        defer { try? FileManager.default.removeItem(at: url) }
        let empty = #expect(throws: CheckpointError.self) { try SafetensorsFile(url) }
        #expect(empty?.description.contains("empty") == true)
    }

    private func raw(_ json: String, _ bytes: [UInt8]) -> Data {
        var data = withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Data($0) }
        data.append(Data(json.utf8))
        data.append(contentsOf: bytes)
        return data
    }
}

@Suite struct WeightsTests {
    let source = RandomWeights(seed: 1)

    @Test func aMissingOrMisshapenTensorIsNamedByItsWholeKey() throws {
        let data = try SafetensorsWriter.data(["block.0.weight": .zeros([2, 2])])
        let w = Weights(try SafetensorsFile(data, name: "file"))
        let missing = #expect(throws: CheckpointError.self) { try (w / "block" / 1).tensor("weight", 2, 2) }
        #expect(missing?.description.contains("block.1.weight") == true)
        let misshapen = #expect(throws: CheckpointError.self) { try (w / "block" / 0).tensor("weight", 2, 3) }
        #expect(misshapen?.description.contains("[2, 2]") == true)
        let left = #expect(throws: CheckpointError.self) { try w.requireAllTaken() }
        #expect(left?.description.contains("block.0.weight") == true)
        _ = try (w / "block" / 0).tensor("weight", 2, 2)
        try w.requireAllTaken()
    }

    @Test func randomWeightsDependOnTheirNameAndSeedOnly() throws {
        let a = try source.tensor("x.weight", shape: [3, 4])
        #expect(try source.tensor("x.weight").scalars == a.scalars)
        #expect(try RandomWeights(seed: 1).tensor("x.weight", shape: [3, 4]).scalars == a.scalars)
        #expect(try RandomWeights(seed: 2).tensor("x.weight", shape: [3, 4]).scalars != a.scalars)
        #expect(try source.tensor("norm.weight", shape: [2]).scalars == [1, 1])
        #expect(try source.tensor("x.bias", shape: [2]).scalars == [0, 0])
    }

    /// A convolution lets go of the mapped pages that it has packed; whoever reads them later finds the same numbers.
    @Test(arguments: [true, false]) func packedWeightsCanStillBeRead(_ isMapped: Bool) throws {
        let numbers: [Float] = (0..<36_864).map { (i: Int) -> Float in Float(i % 101) * 0.01 - 0.5 }
        let data = try SafetensorsWriter.data(["w": Tensor(numbers, shape: [64, 64, 3, 3])])
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("packed-\(UUID().uuidString)")
        try data.write(to: url)
        defer { try? FileManager.default.removeItem(at: url) }
        let file = try isMapped ? SafetensorsFile(url) : SafetensorsFile(data, name: "packed")
        let weight = try file.tensor("w")
        let levels: [Float] = (0..<16_384).map { (i: Int) -> Float in Float(i % 17) * 0.1 }
        let x = Tensor(levels, shape: [1, 16, 16, 64])
        let filter = ConvolutionFilter(weight: weight, bias: nil, padding: .init(1))
        let first = x.convolved(filter).scalars
        #expect(weight.scalars == numbers)
        #expect(x.convolved(ConvolutionFilter(weight: weight, bias: nil, padding: .init(1))).scalars == first)
    }
}
