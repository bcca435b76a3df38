/// A table in plain text: columns as wide as their widest cell.
struct TextTable {
    let text: String

    /// - Parameter right: columns whose cells end at the right edge.
    init(_ header: [String], _ rows: [[String]], right: Set<Int> = []) {
        let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
        text = ([header] + rows).map { cells in
            let line = cells.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - cells[column].count)
                return right.contains(column) ? padding + cells[column] : cells[column] + padding
            }.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
