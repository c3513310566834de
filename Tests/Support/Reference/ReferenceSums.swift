import LanguageModel

/// The gradients of parameters as the reference adds them up: each is one chain over `order`.
struct ReferenceSums<Scalar: ReferenceScalar> {
    let layout: ParameterLayout
    /// Where each step stands in `[B, T]`: times ascending and, within each, the rows that reach it.
    let order: [Int]
    /// In the order of the layout.
    private(set) var values: [Scalar]

    init(layout: ParameterLayout, batch: ReferenceBatch<Scalar>) {
        self.layout = layout
        order = (0..<batch.window).flatMap { time in
            (0..<batch.rows).filter { time < batch.lengths[$0] }.map { $0 * batch.window + time }
        }
        values = [Scalar](repeating: 0, count: layout.count)
    }

    /// `[B, T, width]` in the order of the chains.
    func gather(_ values: [Scalar], width: Int) -> [Scalar] {
        order.flatMap { values[$0 * width..<($0 + 1) * width] }
    }

    /// A matrix: `sum over steps of left[step, j] * right[step, k]`.
    mutating func add(_ parameter: Parameter, _ left: [Scalar], _ right: [Scalar]) {
        let entry = layout[parameter]
        let (rows, columns) = (entry.shape[0], entry.shape[1])
        for row in 0..<rows {
            for column in 0..<columns {
                let place = entry.range.lowerBound + row * columns + column
                values[place] = Scalar.chain(
                    values[place], Strided(left, from: row, stride: rows),
                    Strided(right, from: column, stride: columns),
                    count: order.count)
            }
        }
    }

    /// A matrix whose right side is one-hot: a token for each step.
    mutating func add(_ parameter: Parameter, _ left: [Scalar], tokens: [Int]) {
        let entry = layout[parameter]
        let (rows, columns) = (entry.shape[0], entry.shape[1])
        for (step, token) in tokens.enumerated() {
            for row in 0..<rows {
                values[entry.range.lowerBound + row * columns + token] += left[step * rows + row]
            }
        }
    }

    mutating func add(bias parameter: Parameter, _ left: [Scalar]) {
        let range = layout[parameter].range
        for (index, value) in left.enumerated() { values[range.lowerBound + index % range.count] += value }
    }
}
