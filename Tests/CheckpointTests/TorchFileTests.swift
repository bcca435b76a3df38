import Checkpoint
import Foundation
import TensorEngine
import Testing

/// Files of `torch.save`, made by Fixtures/make.py.
@Suite struct TorchFileTests {
    private func fixture(_ name: String) throws -> URL {
        try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: nil))
    }

    private func numbers(_ file: TorchFile, _ name: String) throws -> [Float] { try file.tensor(name).scalars }

    @Test(arguments: ["zip.pt", "legacy.pt"]) func everyNumberFormatAndViewIsRead(_ name: String) throws {
        let file = try TorchFile(fixture(name))
        let base = (0..<24).map(Float.init)
        #expect(file.shape(of: "whole") == [4, 6])
        #expect(try numbers(file, "whole") == base)
        #expect(file.shape(of: "transposed") == [6, 4])
        #expect(try numbers(file, "transposed") == (0..<6).flatMap { x in (0..<4).map { base[$0 * 6 + x] } })
        #expect(file.shape(of: "slice") == [2, 3])
        #expect(try numbers(file, "slice") == [8, 9, 10, 14, 15, 16])
        #expect(file.shape(of: "scalar") == [])
        #expect(try numbers(file, "scalar") == [2.5])
        #expect(try numbers(file, "half") == [1, -2, 65504])
        #expect(try numbers(file, "brain") == [1, -2, 3.140625])
        #expect(try numbers(file, "double") == [0.1])
        #expect(try numbers(file, "long") == [-3, 4])
        #expect(try numbers(file, "flags") == [1, 0])
        #expect(try numbers(file, "empty").isEmpty)
        #expect(try numbers(file, "parameter") == [1, 1, 1, 1])
        #expect(file.names.count == 11)
    }

    @Test func aStateDictStandsForItselfAndSettingsBesideItAreLeftOut() throws {
        let file = try TorchFile(fixture("trainer.ckpt"))
        #expect(file.names == ["a.weight"])
    }

    @Test func whatTheOriginalTrainerKeptBesideTheTensorsIsNotMade() throws {
        let file = try TorchFile(fixture("lightning.ckpt"))
        #expect(file.names == ["a.weight"])
        #expect(try numbers(file, "a.weight") == [1, 1, 1])
    }

    @Test func nestedDictionariesBecomeDottedNames() throws {
        let file = try CheckpointFile.open(fixture("ip-adapter.bin"))
        #expect(Set(file.names) == ["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"])
        #expect(try file.tensor("image_proj.proj.weight").scalars == [7, 7, 7, 7])
    }

    @Test(arguments: ["evil.pt", "evil.pkl"]) func whatWouldRunCodeIsRefusedByName(_ name: String) throws {
        #expect {
            _ = try CheckpointFile.open(fixture(name))
        } throws: {
            "\($0)".contains("posix.system") && "\($0)".contains(name) && "\($0)".contains("safetensors")
        }
        #expect(!FileManager.default.fileExists(atPath: "/tmp/likeness-was-here"))
    }

    @Test func compressedEntriesAreRefusedWithTheRemedy() throws {
        #expect {
            _ = try TorchFile(fixture("compressed.pt"))
        } throws: { "\($0)".contains("compressed") && "\($0)".contains("torch.save") }
    }

    /// Every cut, and thousands of changed bytes: an error or numbers, never a crash.
    @Test(arguments: ["zip.pt", "legacy.pt", "trainer.ckpt", "lightning.ckpt", "ip-adapter.bin"])
    func damagedFilesGiveErrors(_ name: String) throws {
        let whole = try Data(contentsOf: fixture(name))
        var errors = 0
        func read(_ data: Data) throws {
            do {
                let file = try TorchFile(data, name: "damaged")
                for name in file.names { _ = try file.tensor(name) }
            } catch let error as CheckpointError {
                #expect(error.description.contains("damaged"))
                errors += 1
            }
        }
        for length in stride(from: 0, to: whole.count, by: 7) { try read(whole.prefix(length)) }
        #expect(errors == (whole.count + 6) / 7)
        let random = Philox(seed: 1)
        for i in 0..<1000 {
            var data = whole
            for j in 0...(i % 3) {
                data[random.integer(6 * i + 2 * j, below: data.count)] = UInt8(
                    random.integer(6 * i + 2 * j + 1, below: 256))
            }
            try read(data)
        }
        #expect(errors > (whole.count + 6) / 7)
    }

    private static func pickle(_ parts: [UInt8]...) -> Data { Data([0x80, 2] + parts.flatMap { $0 }) }

    /// Pickles that want much for little: nesting, repetition, circles, huge numbers.
    private static let harmful: [Data] = [
        // A million tuples within each other.
        pickle(Array(")".utf8), [UInt8](repeating: 0x85, count: 1_000_000), Array(".".utf8)),
        // A million lists, each in the one before.
        pickle(
            [UInt8](repeating: 0x5D, count: 1_000_000), [UInt8](repeating: 0x61, count: 999_999), Array(".".utf8)),
        // A dictionary that holds itself.
        pickle(Array("}q".utf8), [0], Array("X".utf8), [1, 0, 0, 0], Array("ah".utf8), [0], Array("s.".utf8)),
        // A text of nearly 2^63 bytes.
        pickle([0x8D], [UInt8](repeating: 0xFF, count: 7), [0x7F], Array("x.".utf8)),
        pickle(Array("(((((((((.".utf8)), pickle(Array("0.".utf8)), pickle(Array("h".utf8), [5], Array(".".utf8)),
        pickle(Array("cbuiltins\neval\n.".utf8)), pickle([0x81], Array(".".utf8)),
    ]

    @Test(arguments: 0..<harmful.count) func picklesThatMeanHarmGiveErrors(_ number: Int) {
        #expect(throws: CheckpointError.self) { try TorchFile(Self.harmful[number], name: "harm") }
    }
}

/// Checkpoints in several files.
@Suite struct ShardedCheckpointTests {
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("shards-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try SafetensorsWriter.write(["a": Tensor([1], shape: [1])], to: folder.appendingPathComponent("1.safetensors"))
        try SafetensorsWriter.write(["b": Tensor([2], shape: [1])], to: folder.appendingPathComponent("2.safetensors"))
        try body(folder)
    }

    private func open(_ folder: URL, _ map: [String: String]) throws -> any TensorSource {
        let index = folder.appendingPathComponent("model.safetensors.index.json")
        try JSONSerialization.data(withJSONObject: ["metadata": ["total_size": 8], "weight_map": map]).write(to: index)
        return try CheckpointFile.open(index: index)
    }

    @Test func tensorsAreFoundInWhicheverPartHasThem() throws {
        try withFolder { folder in
            let source = try open(folder, ["a": "1.safetensors", "b": "2.safetensors"])
            #expect(Set(source.names) == ["a", "b"])
            #expect(try source.tensor("a").scalars == [1] && source.tensor("b").scalars == [2])
        }
    }

    @Test func anIndexThatDoesNotFitItsPartsIsRefused() throws {
        try withFolder { folder in
            for map in [["a": "2.safetensors"], ["a": "3.safetensors"], ["a": "../1.safetensors"]] {
                #expect(throws: CheckpointError.self) { try open(folder, map) }
            }
        }
    }
}
