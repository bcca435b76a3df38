/// A colour: red, green, blue in 0 … 1, as stored in files (sRGB).
typealias RGB = SIMD3<Float>

/// A colour written as in HTML, 0xRRGGBB.
func hex(_ value: UInt32) -> RGB {
    RGB(Float(value >> 16 & 255), Float(value >> 8 & 255), Float(value & 255)) / 255
}

@inline(__always) func mix(_ a: RGB, _ b: RGB, _ t: Float) -> RGB { a + (b - a) * t }

/// Perceived brightness.
func luminance(_ c: RGB) -> Float { 0.3 * c.x + 0.59 * c.y + 0.11 * c.z }

/// Darker (below 1) or brighter, saturation kept.
@inline(__always) func scaled(_ c: RGB, _ factor: Float) -> RGB {
    (c * factor).clamped(lowerBound: RGB(repeating: 0), upperBound: RGB(repeating: 1))
}

/// The named colours of clothes, hats and backgrounds: what captions call them.
enum NamedColour: String, CaseIterable, Sendable {
    case red, orange, yellow, green, teal, blue, purple, pink, brown, white, grey, black

    var rgb: RGB {
        switch self {
        case .red: hex(0xD6453D)
        case .orange: hex(0xEE8B3A)
        case .yellow: hex(0xF3CB4E)
        case .green: hex(0x5BA55C)
        case .teal: hex(0x3FA7A3)
        case .blue: hex(0x4A7FCF)
        case .purple: hex(0x8C62B8)
        case .pink: hex(0xEC9DB8)
        case .brown: hex(0x8B6143)
        case .white: hex(0xF1EFE9)
        case .grey: hex(0x9AA1A9)
        case .black: hex(0x2E2D33)
        }
    }
}
