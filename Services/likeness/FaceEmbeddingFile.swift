import Checkpoint
import Contracts
import Foundation
import TensorEngine

/// The face embedding that a user has put beside a photo for FaceID adapters: for `ann.png` the file
///
/// | file | holds |
/// |---|---|
/// | `ann.face.npy` | NumPy's array of 32- or 64-bit floats: `np.save("ann.face.npy", face.normed_embedding)` |
/// | `ann.face.json` | a list of numbers |
/// | `ann.face.safetensors` | one tensor |
enum FaceEmbeddingFile {
    /// The embedding beside a photo; nil where there is none.
    ///
    /// - Throws: `UserError` naming a file that is no face embedding
    static func beside(_ photo: URL) throws -> FaceEmbedding? {
        let stem = photo.deletingPathExtension()
        let files = ["npy", "json", "safetensors"].map { stem.appendingPathExtension("face.\($0)") }
        guard let file = files.first(where: { FileManager.default.fileExists(atPath: $0.path) }) else { return nil }
        do {
            return try FaceEmbedding(numbers(file))
        } catch let error as FaceEmbedding.Problem {
            throw UserError("the face embedding \(file.path) \(error.problem)", remedy: error.remedy)
        }
    }

    private static func numbers(_ file: URL) throws -> [Float] {
        switch file.pathExtension {
        case "safetensors":
            let source = try SafetensorsFile(file)
            guard source.names.count == 1, let name = source.names.first else {
                throw FaceEmbedding.Problem(
                    problem: "holds \(source.names.count) tensors", remedy: "save the embedding alone")
            }
            return try source.tensor(name).scalars
        case "json":
            let data = try Data(contentsOf: file)
            do { return try JSONDecoder().decode([Float].self, from: data) } catch {
                throw FaceEmbedding.Problem(problem: "is no list of numbers", remedy: "write [0.01, -0.02, …]")
            }
        default: return try numPy(try Data(contentsOf: file))
        }
    }

    /// numpy.lib.format: magic, version, length of a Python dictionary, the dictionary, the numbers.
    private static func numPy(_ data: Data) throws -> [Float] {
        let problem = FaceEmbedding.Problem(
            problem: "is no NumPy array of 32- or 64-bit floats",
            remedy: #"save it with np.save(…, face.normed_embedding.astype("<f4"))"#)
        let bytes = [UInt8](data)
        guard bytes.count > 12, bytes.starts(with: [0x93] + Array("NUMPY".utf8)) else { throw problem }
        let wide = bytes[6] >= 2
        let length = (0..<(wide ? 4 : 2)).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
        let start = (wide ? 12 : 10) + length
        guard start <= bytes.count else { throw problem }
        let header = String(decoding: bytes[(wide ? 12 : 10)..<start], as: UTF8.self)
        guard let kind = header.firstMatch(of: /'descr':\s*'<f([48])'/)?.1, let size = Int(kind) else { throw problem }
        let numbers = bytes[start...]
        guard numbers.count.isMultiple(of: size), numbers.count <= 1 << 20 else { throw problem }
        return stride(from: start, to: bytes.count, by: size).map { i in
            let bits = (0..<size).reduce(UInt64(0)) { $0 | UInt64(bytes[i + $1]) << (8 * UInt64($1)) }
            return size == 4 ? Float(bitPattern: UInt32(bits)) : Float(Double(bitPattern: bits))
        }
    }
}
