internal import Checkpoint
public import Foundation
internal import TensorEngine

/// One folder of golden references: `case.json` and `tensors.safetensors` (and, for some, more files).
public struct GoldenCase {
    /// The folder.
    public let folder: URL
    /// `case` of case.json: what is proved. Not the folder's name, which may be anything.
    public let kind: String
    private let data: Data
    let json: [String: Any]
    let tensors: SafetensorsFile

    /// Reads the folder.
    public init(_ folder: URL) throws {
        self.folder = folder
        let url = folder.appendingPathComponent("case.json")
        data = try Self.strictJSON(at: url)
        guard let json = try JSONSerialization.jsonObject(with: data) as? [String: Any],
            let kind = json["case"] as? String
        else { throw CheckpointError("\(url.path): is not a case description") }
        (self.json, self.kind) = (json, kind)
        tensors = try SafetensorsFile(folder.appendingPathComponent("tensors.safetensors"))
    }

    /// Python writes infinite numbers as `Infinity`, which JSON does not have; as strings they can at least be read.
    private static func strictJSON(at url: URL) throws -> Data {
        let text = try String(contentsOf: url, encoding: .utf8)
        return Data(text.replacing(/: (-?Infinity|NaN)\b/) { ": \"\($0.1)\"" }.utf8)
    }

    // MARK: Inputs

    func config<T: Decodable>(_ type: T.Type) throws -> T {
        try JSONDecoder().decode(type, from: JSONSerialization.data(withJSONObject: json["config"] ?? [:]))
    }

    /// Parts of case.json. Texts are to be read so: JSONSerialization does not keep every character of a string.
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try JSONDecoder().decode(type, from: data) }

    func number(_ key: String) throws -> Double {
        guard let value = (json["config"] as? [String: Any])?[key] as? Double else { throw missing("config.\(key)") }
        return value
    }

    func strings(_ key: String) throws -> [String] {
        guard let value = json[key] as? [String] else { throw missing(key) }
        return value
    }

    func object(_ key: String) throws -> [String: Any] {
        guard let value = json[key] as? [String: Any] else { throw missing(key) }
        return value
    }

    func tensor(_ name: String) throws -> Tensor { try tensors.tensor(name) }

    func integers(_ name: String) throws -> [Int] { try tensors.doubles(name).map { Int($0) } }

    func has(_ name: String) -> Bool { tensors.shape(of: name) != nil }

    /// Names of tensors that begin so.
    func names(_ prefix: String) -> [String] { tensors.names.filter { $0.hasPrefix(prefix) }.sorted() }

    func missing(_ key: String) -> CheckpointError { CheckpointError("\(folder.path)/case.json: has no \(key)") }

    /// The tensors under `weights.` (or another prefix) by their checkpoint keys.
    func weights(_ prefix: String = "weights.") -> Weights { Weights(source(prefix)) }

    func source(_ prefix: String = "weights.") -> any TensorSource { Prefixed(file: tensors, prefix: prefix) }

    /// The case whose weights this one uses under `role`.
    func other(_ role: String) throws -> GoldenCase {
        guard let text = try object("weights_from")[role] as? String, let name = text.split(separator: " ").first else {
            throw missing("weights_from.\(role)")
        }
        let other = folder.deletingLastPathComponent().appendingPathComponent(String(name))
        guard FileManager.default.fileExists(atPath: other.path) else {
            throw CheckpointError(
                "\(folder.path): uses the weights of the case \(name), which is not beside it; make both in one go")
        }
        return try GoldenCase(other)
    }

    // MARK: Tolerance

    var tolerance: Tolerance {
        get throws {
            let stated = try object("tolerance")
            guard let atol = stated["atol"] as? Double, let rtol = stated["rtol"] as? Double else {
                throw missing("tolerance.atol, tolerance.rtol")
            }
            return Tolerance(atol: atol, rtol: rtol)
        }
    }
}

/// A file's tensors whose names begin with `prefix`, by the rest of their names.
private struct Prefixed: TensorSource {
    let file: SafetensorsFile
    let prefix: String

    var description: String { file.description }
    var names: [String] {
        file.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }
    func shape(of name: String) -> [Int]? { file.shape(of: prefix + name) }
    func tensor(_ name: String) throws -> Tensor { try file.tensor(prefix + name) }
}
