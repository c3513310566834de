package import LanguageModel

/// A window of rows for the reference. Letters: `B` rows, `T` steps, `V` vocabulary, `H` hidden units.
package struct ReferenceBatch<Scalar: ReferenceScalar>: Sendable {
    /// What the first layer reads: tokens, or values in the place of a one-hot vector.
    package enum Input: Sendable {
        /// `[B, T]`
        case tokens([Int])
        /// `[B, T, V]`
        case dense([Scalar])
    }

    /// `B` and `T`.
    package let rows: Int
    package let window: Int
    package let input: Input
    /// `[B][layers][h, c][H]`
    package let carry: [Scalar]
    /// `[B]`: how many steps of each row count. The rest leave its state as it is and have neither output nor gradient.
    package let lengths: [Int]
    /// A factor for every output of each layer, `[layers][B, T, H]`, before the layer above or the linear layer reads
    /// it; nil for none. The recurrence within a layer does not see it.
    package let masks: [[Scalar]]?

    /// - Parameters:
    ///   - carry: nil for zeros.
    ///   - lengths: nil for whole rows.
    package init(
        shape: ModelShape, rows: Int, window: Int, input: Input, carry: [Scalar]? = nil, lengths: [Int]? = nil,
        masks: [[Scalar]]? = nil
    ) {
        self.rows = rows
        self.window = window
        self.input = input
        self.carry = carry ?? Array(repeating: 0, count: rows * shape.carryCount)
        self.lengths = lengths ?? Array(repeating: window, count: rows)
        self.masks = masks
        switch input {
        case .tokens(let tokens): precondition(tokens.count == rows * window)
        case .dense(let values): precondition(values.count == rows * window * shape.vocabulary)
        }
        precondition(self.carry.count == rows * shape.carryCount)
        precondition(self.lengths.count == rows && self.lengths.allSatisfy { (0...window).contains($0) })
        precondition(masks?.allSatisfy { $0.count == rows * window * shape.hidden } ?? true)
        precondition(masks?.count ?? shape.layers == shape.layers)
    }
}
