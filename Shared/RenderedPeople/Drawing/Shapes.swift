// Signed distances of the shapes that faces are made of: negative inside, in the units of their arguments. Some are
// first-order estimates, exact near the edge, which is where it counts.

/// Distance to an axis-parallel ellipse.
@inline(__always) func ellipse(_ p: V2, _ centre: V2, _ radius: V2) -> Float {
    let q = (p - centre) / radius
    let g = q / radius
    let f = dot(q, q) - 1
    return f / max(2 * length(g), 1e-3)
}

@inline(__always) func circle(_ p: V2, _ centre: V2, _ radius: Float) -> Float { length(p - centre) - radius }

/// Rounded rectangle with the given half size.
@inline(__always) func roundedBox(_ p: V2, _ centre: V2, _ half: V2, _ corner: Float) -> Float {
    let d = p - centre
    let q = V2(abs(d.x), abs(d.y)) - half + corner
    let outside = length(V2(max(q.x, 0), max(q.y, 0)))
    return outside + min(max(q.x, q.y), 0) - corner
}

/// A stroke from a to b whose half width goes from ra to rb.
@inline(__always) func stroke(_ p: V2, _ a: V2, _ b: V2, _ ra: Float, _ rb: Float) -> Float {
    let ab = b - a
    let t = clamp(dot(p - a, ab) / max(dot(ab, ab), 1e-9))
    return length(p - a - ab * t) - mix(ra, rb, t)
}

/// A lens standing on the corners (±w, 0): `up` high above them and `down` deep below, the shape of an eye.
@inline(__always) func lens(_ p: V2, _ w: Float, _ up: Float, _ down: Float) -> Float {
    let (ru, rd) = ((w * w + up * up) / (2 * up), (w * w + down * down) / (2 * down))
    return max(length(p - V2(0, ru - up)) - ru, length(p - V2(0, down - rd)) - rd)
}

/// Distance to an arc through (−w, 0), (0, −rise), (w, 0), with half width r in the middle and pointed ends.
@inline(__always) func arc(_ p: V2, _ w: Float, _ rise: Float, _ r: Float) -> Float {
    let t = clamp(p.x / w, -1, 1)
    let y = -rise * (1 - t * t)
    let slope = 2 * rise * t / w
    let d = abs(p.y - y) / (1 + slope * slope).squareRoot()
    let thickness = r * (1.15 - 0.85 * t * t)
    let beyond = max(abs(p.x) - w, 0)
    return (d * d + beyond * beyond).squareRoot() - thickness
}

/// Union of two shapes with a rounded joint about k wide.
@inline(__always) func blend(_ a: Float, _ b: Float, _ k: Float) -> Float {
    let h = max(k - abs(a - b), 0) / k
    return min(a, b) - h * h * k * 0.25
}
