import Foundation

/// A run's losses drawn with characters: `.` for the training loss, a mean over the steps of a column, `o` for the
/// validation loss.
package struct CurvePlot {
    private let curve: MetricsCurve
    private let width: Int
    private let height: Int

    /// - Parameters:
    ///   - width: columns of the plot, without its axis.
    package init(_ curve: MetricsCurve, width: Int = 64, height: Int = 14) {
        self.curve = curve
        self.width = max(width, 8)
        self.height = max(height, 4)
    }

    /// The lines, top first; none where there are fewer than two points to draw, or where they are too far apart to be
    /// told in numbers.
    package var lines: [String] {
        guard let first = curve.points.first?.step, let last = curve.points.last?.step, last > first else { return [] }
        func column(_ step: UInt64) -> Int { Int(Double(step - first) / Double(last - first) * Double(width - 1)) }
        var sums = [(total: Double, count: Int)](repeating: (0, 0), count: width)
        for point in curve.points {
            let at = column(point.step)
            sums[at] = (sums[at].total + point.loss, sums[at].count + 1)
        }
        let means = sums.map { $0.count == 0 ? nil : $0.total / Double($0.count) }
        let validation = curve.points.compactMap { point in point.validationLoss.map { (column(point.step), $0) } }
        let values = means.compactMap { $0 } + validation.map(\.1)
        let (low, high) = (values.min()!, values.max()!)
        let span = high > low ? high - low : 1
        guard (span * Double(height)).isFinite, values.allSatisfy(\.isFinite) else { return [] }
        func row(_ value: Double) -> Int { Int(((high - value) / span * Double(height - 1)).rounded()) }
        var cells = [[Character]](repeating: Array(repeating: " ", count: width), count: height)
        for (at, mean) in means.enumerated() {
            if let mean { cells[row(mean)][at] = "." }
        }
        for (at, loss) in validation { cells[row(loss)][at] = "o" }
        let drawn = cells.enumerated().map { index, cells -> String in
            let value = high - span * Double(index) / Double(height - 1)
            let text = String(cells)
            let end = text.lastIndex { $0 != " " }.map { text.index(after: $0) } ?? text.startIndex
            return String(format: "%8.4f |", value) + text[..<end]
        }
        let steps = String(last)
        let axis = "\(first)" + String(repeating: " ", count: max(1, width - "\(first)".count - steps.count)) + steps
        return drawn + ["         +" + String(repeating: "-", count: width), "          " + axis]
    }
}
