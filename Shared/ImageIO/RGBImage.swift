/// A picture in memory: 8-bit RGB, rows from the top, pixels from the left.
public struct RGBImage: Sendable, Equatable {
    /// Width in pixels.
    public let width: Int
    /// Height in pixels.
    public let height: Int
    /// `height` x `width` x 3 levels, 0...255.
    public var pixels: [UInt8]

    /// A picture of given levels; `pixels` must hold `height` x `width` x 3 of them.
    public init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0, "a picture of \(width) x \(height) pixels")
        precondition(pixels.count == width * height * 3, "\(pixels.count) levels for \(width) x \(height) pixels")
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// A picture of one colour.
    public init(width: Int, height: Int, colour: SIMD3<UInt8>) {
        precondition(width > 0 && height > 0, "a picture of \(width) x \(height) pixels")
        let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { levels, count in
            for at in stride(from: 0, to: width * height * 3, by: 3) {
                for channel in 0..<3 { levels[at + channel] = colour[channel] }
            }
            count = width * height * 3
        }
        self.init(width: width, height: height, pixels: pixels)
    }

    /// The colour at column `x` of row `y`.
    public subscript(x: Int, y: Int) -> SIMD3<UInt8> {
        get {
            let at = offset(x, y)
            return SIMD3(pixels[at], pixels[at + 1], pixels[at + 2])
        }
        set {
            let at = offset(x, y)
            for channel in 0..<3 { pixels[at + channel] = newValue[channel] }
        }
    }

    private func offset(_ x: Int, _ y: Int) -> Int {
        precondition(x >= 0 && x < width && y >= 0 && y < height, "(\(x), \(y)) is outside \(width) x \(height)")
        return (y * width + x) * 3
    }
}
