internal import Foundation
public import ImageIO
public import RenderedPeople
public import TensorEngine

/// The photos of a data set in memory, as bytes, square and of one size.
public struct Album: Sendable {
    /// A photo and what is known about it.
    public struct Photo: Sendable {
        /// Path below the data set's folder.
        public let path: String
        /// Index of the person.
        public let person: Int
        /// What varies between photos; `a photo of a person` where the data set has no caption.
        public let caption: String
        /// What the person looks like, in data for pre-training.
        public let appearance: String?
        let bytes: [UInt8]
    }

    /// All photos, by person and file name.
    public let photos: [Photo]
    /// Indices into `photos` for each person.
    public let people: [[Int]]
    /// Names of the people.
    public let names: [String]
    /// Side of every photo in pixels.
    public let side: Int
    /// Files that could not be read and were left out, with the reason.
    public let unreadable: [String]
    /// How many photos had no caption.
    public let withoutCaption: Int

    /// What is said of a photo without a caption.
    public static let defaultCaption = "a photo of a person"

    /// Reads the photos of `people`. A photo that cannot be read is left out and told of; a person who loses so many
    /// that fewer than `minimumPhotos` are left is left out too.
    ///
    /// - Throws: `DatasetError` if nobody is left
    public init(_ people: [FaceDataset.Person], side: Int, minimumPhotos: Int = 1) throws {
        var (photos, members, names) = ([Photo](), [[Int]](), [String]())
        var (unreadable, withoutCaption) = ([String](), 0)
        for person in people {
            var own: [Photo] = []
            for photo in person.photos {
                do {
                    let image = try photo.image().clipCrop(size: side)
                    if photo.caption == nil { withoutCaption += 1 }
                    own.append(
                        Photo(
                            path: photo.path, person: members.count, caption: photo.caption ?? Self.defaultCaption,
                            appearance: photo.appearance, bytes: image.pixels))
                } catch { unreadable.append("\(error)") }
            }
            guard own.count >= minimumPhotos else {
                unreadable.append("\(person.name): only \(own.count) readable photos, \(minimumPhotos) are needed")
                continue
            }
            members.append(Array(photos.count..<photos.count + own.count))
            names.append(person.name)
            photos += own
        }
        guard !photos.isEmpty else {
            throw DatasetError(
                "nobody has \(minimumPhotos) readable photos; \(unreadable.first ?? "the data set is empty")")
        }
        (self.photos, self.people, self.names, self.side) = (photos, members, names, side)
        (self.unreadable, self.withoutCaption) = (unreadable, withoutCaption)
    }

    /// What a user should know about the photos that training goes on with.
    var notices: [String] {
        let told = unreadable.prefix(10).map { "left out: \($0)" }
        let more = unreadable.count > 10 ? ["and \(unreadable.count - 10) more are left out"] : []
        let plain =
            withoutCaption > 0
            ? ["\(withoutCaption) of \(photos.count) photos have no caption: '\(Self.defaultCaption)' stands for it"]
            : []
        return told + more + plain
    }

    /// Pictures that are in memory already, all of this side, as one person's.
    init(_ images: [RGBImage], captions: [String], side: Int) {
        photos = zip(images, captions).enumerated().map { i, pair in
            Photo(path: "\(i)", person: 0, caption: pair.1, appearance: nil, bytes: pair.0.pixels)
        }
        (people, names) = ([Array(photos.indices)], ["person"])
        (self.side, unreadable, withoutCaption) = (side, [], 0)
    }

    /// Photos as [N, side, side, 3] in −1 … 1.
    public func pixels(_ indices: [Int]) -> Tensor { tensor(indices, scale: [2, 2, 2], offset: [-1, -1, -1]) }

    /// Photos as [N, side, side, 3], (level / 255) · scale + offset for each channel.
    public func tensor(_ indices: [Int], scale: [Float], offset: [Float]) -> Tensor {
        var values = [Float](repeating: 0, count: indices.count * side * side * 3)
        let tables = (0..<3).map { c in (0..<256).map { Float($0) / 255 * scale[c] + offset[c] } }
        for (row, index) in indices.enumerated() {
            let bytes = photos[index].bytes
            for i in bytes.indices { values[row * bytes.count + i] = tables[i % 3][Int(bytes[i])] }
        }
        return Tensor(values, shape: [indices.count, side, side, 3])
    }

    /// One photo as a picture.
    public func image(_ index: Int) -> RGBImage { RGBImage(width: side, height: side, pixels: photos[index].bytes) }
}

/// The random choices of batch `number` of a run: a function of the seed and the number alone, so that a run that was
/// stopped goes on with the very batches it would have had.
public struct BatchRandom: Sendable {
    private let key: UInt64
    private let number: UInt64
    private let philox: Philox
    private var used = 0

    /// Choices of batch `number` of the run called `name`.
    public init(seed: UInt64, name: String, batch number: Int) {
        let stream = name.utf8.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        (key, self.number) = (seed ^ stream, UInt64(number))
        philox = Philox(seed: key, stream: self.number)
    }

    /// A whole number in 0 ..< bound.
    public mutating func integer(below bound: Int) -> Int {
        used += 1
        return philox.integer(used, below: bound)
    }

    /// True with probability `p`.
    public mutating func chance(_ p: Double) -> Bool { Double(integer(below: 1 << 24)) < p * Double(1 << 24) }

    /// `count` different indices below `bound`, in random order (all of them if there are no more).
    public mutating func sample(_ count: Int, below bound: Int) -> [Int] {
        var pool = Array(0..<bound)
        let count = min(count, bound)
        for i in 0..<count { pool.swapAt(i, i + integer(below: bound - i)) }
        return Array(pool.prefix(count))
    }

    /// Standard normal numbers, from a stream apart from the choices'.
    public func normal(_ shape: [Int]) -> Tensor {
        Tensor(Philox(seed: ~key, stream: number).normal(shape.reduce(1, *)), shape: shape)
    }
}
