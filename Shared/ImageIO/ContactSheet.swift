/// Rows of labelled pictures on one sheet, as the paper's Fig. 6: reference photos above each method's pictures.
public struct ContactSheet: Sendable {
    /// A row: its label, a smaller note below that, its pictures.
    public typealias Row = (label: String, note: String, images: [RGBImage])

    private let title, subtitle: String
    private let rows: [Row]
    /// Side of a picture's square in pixels.
    private let cell: Int

    private static let paper = SIMD3<UInt8>(250, 249, 246)
    private static let ink = SIMD3<UInt8>(40, 40, 46)
    private static let faint = SIMD3<UInt8>(128, 128, 136)
    private static let (margin, gap, header) = (24, 8, 64)

    /// A sheet of these rows; characters outside ASCII become `?`.
    public init(title: String, subtitle: String, rows: [Row], cell: Int) {
        (self.title, self.subtitle, self.rows, self.cell) = (title, subtitle, rows, cell)
    }

    /// Draws the sheet. Pictures smaller than a cell are enlarged by whole factors, so that their pixels stay what they
    /// are; larger ones are shrunk.
    public func render() -> RGBImage {
        let labels = rows.map { max(Lettering.width($0.label, scale: 2), Lettering.width($0.note, scale: 1)) }
        let labelWidth = (labels.max() ?? 0) + 2 * Self.gap
        let columns = rows.map(\.images.count).max() ?? 0
        let pictures = max(columns * (cell + Self.gap), Lettering.width(title, scale: 2) - labelWidth)
        var sheet = RGBImage(
            width: 2 * Self.margin + labelWidth + pictures,
            height: 2 * Self.margin + Self.header + rows.count * (cell + Self.gap), colour: Self.paper)
        sheet.write(title, x: Self.margin, y: Self.margin, scale: 2, Self.ink)
        sheet.write(subtitle, x: Self.margin, y: Self.margin + 26, scale: 1, Self.faint)
        for (i, row) in rows.enumerated() {
            let top = Self.margin + Self.header + i * (cell + Self.gap)
            sheet.write(row.label, x: Self.margin, y: top + cell / 2 - 16, scale: 2, Self.ink)
            sheet.write(row.note, x: Self.margin, y: top + cell / 2 + 8, scale: 1, Self.faint)
            for (j, image) in row.images.enumerated() {
                let fitted = image.fitted(cell)
                let left = Self.margin + labelWidth + j * (cell + Self.gap)
                sheet.paste(fitted, x: left + (cell - fitted.width) / 2, y: top + (cell - fitted.height) / 2)
            }
        }
        return sheet
    }
}

extension RGBImage {
    /// As large as fits into a square of this side: a whole factor up, or any factor down.
    public func fitted(_ side: Int) -> RGBImage {
        let long = max(width, height)
        if long <= side {
            let factor = side / long
            return resized(width: width * factor, height: height * factor, filter: .box)
        }
        return resized(width: max(1, width * side / long), height: max(1, height * side / long), filter: .bicubic)
    }

    /// Copies `image` here; what would lie outside is left out.
    mutating func paste(_ image: RGBImage, x: Int, y: Int) {
        for row in max(0, -y)..<max(0, min(image.height, height - y)) {
            for column in max(0, -x)..<max(0, min(image.width, width - x)) {
                self[x + column, y + row] = image[column, row]
            }
        }
    }

    /// Writes one line of text, its top left corner at (x, y), each dot `scale` pixels wide.
    mutating func write(_ text: String, x: Int, y: Int, scale: Int, _ colour: SIMD3<UInt8>) {
        for (i, character) in text.enumerated() {
            for row in 0..<8 {
                for column in 0..<5 where Lettering.hasDot(character, column, row) {
                    let dot = RGBImage(width: scale, height: scale, colour: colour)
                    paste(dot, x: x + (i * Lettering.cellWidth + column) * scale, y: y + row * scale)
                }
            }
        }
    }
}
