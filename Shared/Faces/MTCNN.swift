public import Checkpoint
public import ImageIO
internal import TensorEngine

/// A face in a picture.
public struct DetectedFace: Sendable {
    /// Left, top, right, bottom in pixels; may lie a little outside the picture.
    public var box: SIMD4<Float>
    /// How sure the last network is, 0 … 1.
    public var probability: Float
    /// Left eye, right eye, nose, left and right corner of the mouth, as seen in the picture: (x, y) in pixels.
    public var landmarks: [SIMD2<Float>]

    /// A face somewhere.
    public init(box: SIMD4<Float>, probability: Float, landmarks: [SIMD2<Float>]) {
        (self.box, self.probability, self.landmarks) = (box, probability, landmarks)
    }

    /// Width · height in pixels.
    public var area: Float { (box[2] - box[0]) * (box[3] - box[1]) }
}

/// Finds faces and their landmarks (Zhang et al. 2016). Matches facenet-pytorch's `MTCNN.detect(landmarks=True)` with its
/// defaults: three networks, each looking closer at what the one before proposes.
///
/// One difference: proposals that lie wholly outside the picture are dropped, on which the original fails.
public struct MTCNN: Sendable {
    /// What is looked for.
    public struct Settings: Sendable {
        /// Side of the smallest face in pixels.
        public var minFaceSize = 20.0
        /// What a proposal must score in each of the three networks.
        public var thresholds: (Float, Float, Float) = (0.6, 0.7, 0.7)
        /// Ratio of neighbouring sizes of the picture that the first network sees.
        public var factor = 0.709

        /// facenet-pytorch's defaults.
        public init() {}
    }

    private let settings: Settings
    private let pnet: ProposalNetwork
    private let rnet: RefinementNetwork
    private let onet: OutputNetwork

    /// - Parameters:
    ///   - pnet: proposes; `pnet.pt` of facenet-pytorch, or the same as safetensors
    ///   - rnet: refines; `rnet.pt`
    ///   - onet: decides and finds landmarks; `onet.pt`
    public init(
        pnet: any TensorSource, rnet: any TensorSource, onet: any TensorSource, settings: Settings = Settings()
    ) throws {
        self.settings = settings
        self.pnet = try ProposalNetwork(pnet)
        self.rnet = try RefinementNetwork(rnet)
        self.onet = try OutputNetwork(onet)
    }

    /// All faces, the largest first.
    public func callAsFunction(_ image: RGBImage) -> [DetectedFace] {
        let levels = image.levels
        let proposals = refine(propose(levels), levels)
        return decide(proposals, levels).sorted { $0.area > $1.area }
    }

    // MARK: Stages

    /// The picture at every size, in all places.
    private func propose(_ image: Tensor) -> [FaceBox] {
        let (height, width) = (image.shape[1], image.shape[2])
        var scale = 12 / settings.minFaceSize
        var shorter = Double(min(height, width)) * scale
        var boxes: [FaceBox] = []
        while shorter >= 12 {
            let (h, w) = (Int(Double(height) * scale + 1), Int(Double(width) * scale + 1))
            let small = image.averaged(rows: 0..<height, columns: 0..<width, height: h, width: w)
            let found = pnet(Self.normalized(small), scale: Float(scale), threshold: settings.thresholds.0)
            boxes += FaceBox.suppressed(found, above: 0.5)
            scale *= settings.factor
            shorter *= settings.factor
        }
        return FaceBox.suppressed(boxes, above: 0.7).map { box in
            var box = box
            let (w, h) = (box.right - box.left, box.bottom - box.top)
            box.edges += box.offsets * SIMD4(w, h, w, h)
            return box.squared()
        }
    }

    private func refine(_ boxes: [FaceBox], _ image: Tensor) -> [FaceBox] {
        let (boxes, crops) = Self.crops(of: boxes, image, side: 24)
        let answers = rnet(crops)
        let passed = zip(boxes, answers).compactMap { box, answer -> FaceBox? in
            guard answer.probability > settings.thresholds.1 else { return nil }
            return FaceBox(edges: box.edges, score: answer.probability, offsets: answer.offsets)
        }
        return FaceBox.suppressed(passed, above: 0.7).map { $0.moved().squared() }
    }

    private func decide(_ boxes: [FaceBox], _ image: Tensor) -> [DetectedFace] {
        let (boxes, crops) = Self.crops(of: boxes, image, side: 48)
        var faces: [(box: FaceBox, landmarks: [SIMD2<Float>])] = []
        for (box, answer) in zip(boxes, onet(crops)) where answer.probability > settings.thresholds.2 {
            let (w, h) = (box.right - box.left + 1, box.bottom - box.top + 1)
            let landmarks = (0..<5).map { i in
                SIMD2(w * answer.landmarks[i] + box.left - 1, h * answer.landmarks[5 + i] + box.top - 1)
            }
            faces.append(
                (FaceBox(edges: box.edges, score: answer.probability, offsets: answer.offsets).moved(), landmarks))
        }
        return FaceBox.survivors(faces.map(\.box), above: 0.7, .smaller).map { i in
            DetectedFace(box: faces[i].box.edges, probability: faces[i].box.score, landmarks: faces[i].landmarks)
        }
    }

    /// (v − 127.5) / 128
    private static func normalized(_ levels: Tensor) -> Tensor {
        levels.scaled(by: 0.0078125, plus: -127.5 * 0.0078125)
    }

    /// What of each box lies in the picture, at `side`×`side`; boxes that lie outside are left out.
    private static func crops(of boxes: [FaceBox], _ image: Tensor, side: Int) -> ([FaceBox], [Tensor]) {
        var (inside, crops): ([FaceBox], [Tensor]) = ([], [])
        for box in boxes {
            guard let (rows, columns) = box.pixels(height: image.shape[1], width: image.shape[2]) else { continue }
            inside.append(box)
            crops.append(normalized(image.averaged(rows: rows, columns: columns, height: side, width: side)))
        }
        return (inside, crops)
    }
}
