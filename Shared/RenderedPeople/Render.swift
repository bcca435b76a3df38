public import ImageIO

/// Draws a person in one photo. The picture is the same at every size, only finer; the same arguments give the same
/// bytes on every machine.
/// - Parameter size: pixels along each side; at least 16.
public func render(_ identity: PersonIdentity, _ nuisance: PhotoNuisance, size: Int = 64) -> RGBImage {
    precondition(size >= 16, "a face needs at least 16 pixels, not \(size)")
    let painter = Painter(identity, nuisance, size: size)
    painter.paint()
    return RGBImage(width: size, height: size, pixels: painter.canvas.bytes())
}
