import Contracts
import Foundation
import Testing

/// Face embeddings that users give.
@Suite struct FaceEmbeddingTests {
    @Test func theWireIsNumPysBytesInBase64() throws {
        // base64.b64encode(numpy.array([0.6, -0.8], "<f4"))
        let embedding = try FaceEmbedding([0.6, -0.8])
        #expect(embedding.base64 == "mpkZP83MTL8=")
        #expect(try FaceEmbedding(base64: "mpkZP83MTL8=") == embedding)
    }

    @Test(arguments: [
        ([Float](), "0 numbers"), ([Float](repeating: 0.01, count: 4097), "4097 numbers"), ([.nan, 1], "finite"),
        ([0, 0], "length 0"), ([15, 20], "length 25"),
    ])
    func whatIsNoneIsRefusedWithTheReason(_ numbers: [Float], _ words: String) {
        #expect { try FaceEmbedding(numbers) } throws: { "\($0)".contains(words) }
    }

    @Test(arguments: ["*", "AAAA", "AAAAAAA=="]) func otherTextIsRefused(_ text: String) {
        #expect { try FaceEmbedding(base64: text) } throws: { "\($0)".contains("base64") }
    }
}
