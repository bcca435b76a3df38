import Checkpoint
import Faces
import Foundation
import ImageIO
import TensorEngine
import Testing

/// Against facenet-pytorch and insightface's definitions (Fixtures/make.py).
@Suite struct FacesTests {
    private let references: FaceReferences

    init() throws { references = try FaceReferences() }

    private func detector(_ settings: MTCNN.Settings) throws -> MTCNN {
        let part = try references.part("mtcnn")
        let rows = try #require(part["weights"] as? [String: Any])
        let seeds = try #require(part["seeds"] as? [String: Any])
        func weights(_ name: String) throws -> FormulaWeights {
            try part.weights(rows[name], seed: seeds.integer(name))
        }
        return try MTCNN(pnet: weights("pnet"), rnet: weights("rnet"), onet: weights("onet"), settings: settings)
    }

    @Test func facesAreFoundWhereFacenetPytorchFindsThem() throws {
        var found = 0
        for reference in try references.part("mtcnn").cases() {
            var settings = MTCNN.Settings()
            let threshold = Float(try #require(reference["threshold"] as? Double))
            settings.thresholds = (threshold, threshold, threshold)
            let image = picture(
                try reference.integer("width"), try reference.integer("height"), seed: try reference.integer("seed"))
            let faces = try detector(settings)(image)
            let (boxes, sure) = (try reference.numbers("boxes"), try reference.numbers("probabilities"))
            let points = try reference.numbers("landmarks")
            try #require(faces.count == sure.count)
            found += faces.count
            for (i, face) in faces.enumerated() {
                for j in 0..<4 { #expect(abs(Double(face.box[j]) - boxes[4 * i + j]) < 2e-3) }
                #expect(abs(Double(face.probability) - sure[i]) < 1e-4)
                for j in 0..<5 {
                    #expect(abs(Double(face.landmarks[j].x) - points[10 * i + 2 * j]) < 2e-3)
                    #expect(abs(Double(face.landmarks[j].y) - points[10 * i + 2 * j + 1]) < 2e-3)
                }
            }
        }
        #expect(found > 20)
    }

    @Test func aPictureSmallerThanAnyFaceHasNone() throws {
        for side in [1, 7, 19] { #expect(try detector(MTCNN.Settings())(picture(side, side, seed: 3)).isEmpty) }
    }

    @Test func facesAreCutOutAsFacenetPytorchDoes() throws {
        let part = try references.part("crop")
        let image = picture(try part.integer("width"), try part.integer("height"), seed: try part.integer("seed"))
        for reference in try part.cases() {
            let box = try reference.numbers("box").map { Float($0) }
            var crop = FaceCrop()
            (crop.side, crop.margin) = (try reference.integer("side"), try reference.integer("margin"))
            let face = DetectedFace(box: SIMD4(box[0], box[1], box[2], box[3]), probability: 1, landmarks: [])
            let cut = crop(face, in: image)
            let out = try #require(cut)
            let want = try reference.numbers("every_16th")
            let got = stride(from: 0, to: out.pixels.count, by: 16).map { Double(out.pixels[$0]) }
            #expect(got == want)
        }
        let outside = DetectedFace(box: SIMD4(200, 200, 300, 300), probability: 1, landmarks: [])
        #expect(FaceCrop()(outside, in: image) == nil)
    }

    @Test func facesAreTurnedByTheirLandmarks() throws {
        let (part, crop) = (try references.part("alignment"), try references.part("crop"))
        let image = picture(try crop.integer("width"), try crop.integer("height"), seed: try crop.integer("seed"))
        let landmarks = try #require(part["landmarks"] as? [[Double]]).map { SIMD2(Float($0[0]), Float($0[1])) }
        let face = DetectedFace(box: .zero, probability: 1, landmarks: landmarks)
        let turned = FaceAlignment.aligned(face, in: image)
        let out = try #require(turned)
        let want = try part.numbers("every_7th")
        for (i, level) in want.enumerated() { #expect(abs(Double(out.pixels[7 * i]) - level) <= 1) }
        let nowhere = DetectedFace(box: .zero, probability: 1, landmarks: Array(repeating: [5, 5], count: 5))
        #expect(FaceAlignment.aligned(nowhere, in: image) == nil)
    }

    @Test func faceNetEmbedsAsFacenetPytorch() throws {
        let part = try references.part("facenet")
        let weights = try part.weights(part["weights"], seed: part.integer("seed"))
        #expect(InceptionResnetV1.isRecognised(weights) && !IResNet.isRecognised(weights))
        let faces = try #require(part["pictures"] as? [Int]).map { picture(160, 160, seed: $0) }
        let got = try InceptionResnetV1(weights)(faces).scalars
        try compare(got, part.numbers("embeddings"))
    }

    @Test func arcFaceEmbedsAsInsightface() throws {
        let part = try references.part("arcface")
        let weights = try part.weights(part["weights"], seed: part.integer("seed"))
        #expect(IResNet.isRecognised(weights) && !InceptionResnetV1.isRecognised(weights))
        let faces = try #require(part["pictures"] as? [Int]).map { picture(112, 112, seed: $0) }
        let got = try IResNet(weights)(faces).scalars
        try compare(got, part.numbers("embeddings"))
    }

    private func compare(_ got: [Float], _ want: [Double]) throws {
        try #require(got.count == want.count && got.count == 1024)
        for (a, b) in zip(got, want) { #expect(abs(Double(a) - b) < 1e-4) }
    }
}
