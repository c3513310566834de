import Kernels

/// The gradients of a layer's weights and bias over the shards of a node, some gates at a time.
struct GateGradients: @unchecked Sendable {
    // @unchecked: only read while threads share it; they write disjoint rows of the gradients.
    /// Their gradients, `[T][R][4H]` with rows `stride` apart.
    let gates: UnsafePointer<Float>
    let stride: Int
    let nodeRows: NodeRows
    let hidden: Int
    let inputs: [WeightGradient.Inputs]
    /// `[4H]`; nil for none.
    let bias: UnsafeMutablePointer<Float>?
    /// The one-hot input, in layer 0 alone; nil above it.
    let table: WeightGradient.Table?
    /// Gates whose sums by token are taken at a time.
    let tableRows: Int

    /// So many of at most `rows` gates that their sums by token stay in L2, up to some thousands of characters.
    static func tableRows(of rows: Int, vocabulary: Int) -> Int { max(16, min(rows, 65536 / vocabulary) / 16 * 16) }

    private func stackCount(rows: Int) -> Int {
        WeightGradient.stackCount(shards: nodeRows.shards, rows: rows, columns: hidden, inputs: inputs.count)
    }

    /// Floats of a thread's working space for at most `rows` gates.
    func scratchCount(rows: Int) -> Int {
        WeightGradient.blockCount(nodeRows, rows: rows) + stackCount(rows: rows)
            + (table?.stackCount(shards: nodeRows.shards, columns: tableRows) ?? 0)
    }

    /// - Parameters:
    ///   - scratch: ``scratchCount(rows:)`` floats for `most` gates.
    func compute(_ rows: Range<Int>, scratch: UnsafeMutablePointer<Float>, most: Int) {
        let block = scratch + stackCount(rows: most)
        let tableStack = block + WeightGradient.blockCount(nodeRows, rows: most)
        // Sums by token on the way, while the gradients of the gates are near; but there is room for those of some gates
        // only, and where there are more they come first, some gates after others.
        let isTogether = rows.count <= tableRows
        if let table, !isTogether {
            for first in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: tableRows) {
                WeightGradient.compute(
                    gates, stride: stride, nodeRows, rows: first..<min(rows.upperBound, first + tableRows),
                    table: table,
                    stack: tableStack)
            }
        }
        WeightGradient.compute(
            gates, stride: stride, nodeRows, rows: rows, columns: hidden, inputs: inputs, bias: bias,
            table: isTogether ? table.map { ($0, tableStack) } : nil, block: block, stack: scratch)
    }
}
