import Foundation

/// A face recogniser's embedding of the face in a photo, given by the user for FaceID adapters. On the wire and in the
/// database it is base64 of little-endian 32-bit floats: in Python
/// `base64.b64encode(face.normed_embedding.astype("<f4"))`.
public struct FaceEmbedding: Sendable, Hashable {
    /// The embedding; insightface's has 512 numbers and length 1.
    public let numbers: [Float]

    /// Why something is no face embedding, and the remedy.
    public struct Problem: Error, Sendable, CustomStringConvertible {
        public let problem: String
        public let remedy: String
        public var description: String { "\(problem); \(remedy)" }

        public init(problem: String, remedy: String) { (self.problem, self.remedy) = (problem, remedy) }
    }

    /// Checks the numbers.
    ///
    /// - Throws: for none or too many, for numbers that are not finite, and for a length far from 1, with which pictures
    ///   would resemble nobody
    public init(_ numbers: [Float]) throws(Problem) {
        guard (1...4096).contains(numbers.count) else {
            throw Problem(problem: "has \(numbers.count) numbers", remedy: "give one face's embedding, 512 numbers")
        }
        guard numbers.allSatisfy(\.isFinite) else {
            throw Problem(problem: "holds numbers that are not finite", remedy: "make it again")
        }
        let length = numbers.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        guard (0.1...2).contains(length) else {
            throw Problem(
                problem: "has length \(String(format: "%.3g", length))",
                remedy: "give insightface's normed_embedding, which has length 1 (embedding has not)")
        }
        self.numbers = numbers
    }

    /// Reads the form on the wire.
    public init(base64: String) throws(Problem) {
        guard let data = Data(base64Encoded: base64), data.count.isMultiple(of: 4) else {
            throw Problem(
                problem: "is no base64 of 32-bit floats",
                remedy: #"encode it in Python with base64.b64encode(face.normed_embedding.astype("<f4"))"#)
        }
        let bytes = [UInt8](data)
        try self.init(
            stride(from: 0, to: bytes.count, by: 4).map { i in
                Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[i + $1]) << (8 * UInt32($1)) })
            })
    }

    /// The form on the wire.
    public var base64: String {
        Data(numbers.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number.bitPattern >> (8 * $0)) } })
            .base64EncodedString()
    }
}
