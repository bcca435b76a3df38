import Foundation

/// A plot of lines as SVG that stands alone: axes with ticks, a legend, and where a series has them, its intervals
/// shaded.
public struct LinePlot: Sendable {
    /// One line.
    public struct Series: Sendable {
        public var name: String
        public var points: [Point]
        public init(name: String, points: [Point]) { (self.name, self.points) = (name, points) }
    }

    /// A point, with the interval that holds it.
    public struct Point: Sendable {
        public var x, y: Double
        public var low, high: Double?
        public init(x: Double, y: Double, low: Double? = nil, high: Double? = nil) {
            (self.x, self.y, self.low, self.high) = (x, y, low, high)
        }
    }

    public var title, xLabel, yLabel: String
    public var series: [Series]
    /// Whether y is drawn on a logarithmic axis; values that are not positive are left out then.
    public var isLogarithmic: Bool

    /// A plot.
    public init(title: String, xLabel: String, yLabel: String, series: [Series], isLogarithmic: Bool = false) {
        (self.title, self.xLabel, self.yLabel) = (title, xLabel, yLabel)
        (self.series, self.isLogarithmic) = (series, isLogarithmic)
    }

    private static let size = (width: 640.0, height: 360.0)
    private static let frame = (left: 64.0, right: 624.0, top: 36.0, bottom: 300.0)
    /// Eight hues that are told apart with most kinds of colour vision (Okabe and Ito).
    private static let colours = [
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#666666",
    ]

    /// The SVG element.
    public var svg: String {
        let shown = series.map { Series(name: $0.name, points: $0.points.filter(isDrawable)) }
        let (width, height) = Self.size
        var out = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(width)) \(Int(height))" role="img" \
            font-family="sans-serif" font-size="12">
            <title>\(title.xmlEscaped)</title>
            <text x="\(Int(width / 2))" y="20" text-anchor="middle" font-size="14" fill="currentColor">\(title.xmlEscaped)</text>

            """
        let points = shown.flatMap(\.points)
        guard !points.isEmpty else {
            return out
                + "<text x=\"320\" y=\"180\" text-anchor=\"middle\" fill=\"currentColor\">no values</text>\n</svg>\n"
        }
        let xs = Axis(points.map(\.x), isLogarithmic: false)
        let ys = Axis(points.flatMap { [$0.y, $0.low, $0.high].compactMap { $0 } }, isLogarithmic: isLogarithmic)
        func x(_ value: Double) -> Double {
            Self.frame.left + xs.place(value) * (Self.frame.right - Self.frame.left)
        }
        func y(_ value: Double) -> Double {
            Self.frame.bottom - ys.place(value) * (Self.frame.bottom - Self.frame.top)
        }
        for tick in xs.ticks {
            let at = Self.number(x(tick))
            out += "<line x1=\"\(at)\" x2=\"\(at)\" y1=\"300\" y2=\"305\" stroke=\"currentColor\"/>"
            out +=
                "<text x=\"\(at)\" y=\"318\" text-anchor=\"middle\" fill=\"currentColor\">\(Self.label(tick))</text>\n"
        }
        for tick in ys.ticks {
            let at = Self.number(y(tick))
            out += "<line x1=\"64\" x2=\"624\" y1=\"\(at)\" y2=\"\(at)\" stroke=\"currentColor\" opacity=\"0.15\"/>"
            out +=
                "<text x=\"58\" y=\"\(at)\" dy=\"4\" text-anchor=\"end\" fill=\"currentColor\">\(Self.label(tick))</text>\n"
        }
        out += "<path d=\"M64 36V300H624\" fill=\"none\" stroke=\"currentColor\"/>\n"
        out += "<text x=\"344\" y=\"336\" text-anchor=\"middle\" fill=\"currentColor\">\(xLabel.xmlEscaped)</text>\n"
        out +=
            "<text transform=\"translate(14 168) rotate(-90)\" text-anchor=\"middle\" fill=\"currentColor\">\(yLabel.xmlEscaped)</text>\n"
        for (i, line) in shown.enumerated() where !line.points.isEmpty {
            let colour = Self.colours[i % Self.colours.count]
            let band = line.points.compactMap { p in p.low.flatMap { low in p.high.map { (p.x, low, $0) } } }
            if band.count > 1 {
                let edge = band.map { (x($0.0), y($0.2)) } + band.reversed().map { (x($0.0), y($0.1)) }
                out += "<path d=\"\(Self.path(edge))Z\" fill=\"\(colour)\" opacity=\"0.12\"/>\n"
            }
            let path = Self.path(line.points.map { (x($0.x), y($0.y)) })
            out += "<path d=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>\n"
            let (column, row) = (Double(i % 3), Double(i / 3))
            let (at, line0) = (Self.number(64 + column * 190), Self.number(350 + row * 14 - 2))
            out += "<text x=\"\(at)\" y=\"\(line0)\" fill=\"\(colour)\">— \(line.name.xmlEscaped)</text>\n"
        }
        // Room for a legend of more than one row.
        let extra = Double(max(0, (shown.count - 1) / 3)) * 14
        return out.replacing("0 0 640 360", with: "0 0 640 \(Int(height + extra))") + "</svg>\n"
    }

    private func isDrawable(_ point: Point) -> Bool {
        point.x.isFinite && point.y.isFinite && (!isLogarithmic || point.y > 0)
    }

    private static func path(_ points: [(Double, Double)]) -> String {
        points.enumerated().map { ($0.offset == 0 ? "M" : "L") + "\(number($0.element.0)) \(number($0.element.1))" }
            .joined()
    }

    private static func number(_ value: Double) -> String { String(format: "%.1f", value) }
    private static func label(_ value: Double) -> String {
        abs(value) >= 1000 && value == value.rounded() ? String(format: "%.0f", value) : String(format: "%.4g", value)
    }
}

/// A range with round ticks.
private struct Axis {
    let low, high: Double
    let isLogarithmic: Bool
    let ticks: [Double]

    init(_ values: [Double], isLogarithmic: Bool) {
        self.isLogarithmic = isLogarithmic
        let finite = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
        var (low, high) = (finite.min() ?? 0, finite.max() ?? 1)
        if low == high { (low, high) = isLogarithmic ? (low / 2, high * 2) : (low - 0.5, high + 0.5) }
        if isLogarithmic {
            let powers = Int(log10(low).rounded(.down))...Int(log10(high).rounded(.up))
            ticks = powers.flatMap { p in [1, 2, 5].map { $0 * pow(10, Double(p)) } }.filter { $0 >= low && $0 <= high }
            (self.low, self.high) = (low, high)
        } else {
            let rough = (high - low) / 6
            let power = pow(10, log10(rough).rounded(.down))
            let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
            (self.low, self.high) = ((low / step).rounded(.down) * step, (high / step).rounded(.up) * step)
            let first = self.low
            ticks = (0...Int(((self.high - first) / step).rounded())).map { first + Double($0) * step }
        }
    }

    /// 0 … 1
    func place(_ value: Double) -> Double {
        isLogarithmic ? log(value / low) / log(high / low) : (value - low) / (high - low)
    }
}

extension String {
    /// With the five signs that mean something in XML written as entities.
    var xmlEscaped: String {
        replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
    }
}
