import CKernels

/// Inputs of all shards of a worker over some time steps, packed for weight gradients.
///
/// A shard's panels lie time step after time step, so that some of the steps are packed too: the state before each step
/// and the state after it are one packing of one step more than a window.
package struct PackedInputs: @unchecked Sendable {
    // @unchecked: threads pack disjoint shards, and only read what is packed.
    private let base: UnsafeMutablePointer<Float>
    private let timeSteps: Int
    private let rowsPerShard: Int
    private let columns: Int

    /// - Parameter base: room for ``count(rows:timeSteps:columns:)`` floats.
    package init(base: UnsafeMutablePointer<Float>, timeSteps: Int, rowsPerShard: Int, columns: Int) {
        self.base = base
        self.timeSteps = timeSteps
        self.rowsPerShard = rowsPerShard
        self.columns = columns
    }

    /// Floats of the packed inputs of so many rows, of whole shards.
    package static func count(rows: Int, timeSteps: Int, columns: Int) -> Int {
        let width = InstructionSet.table.pointee.panel_width
        return (columns + width - 1) / width * width * timeSteps * rows
    }

    /// Where the shard begins that has the row `row` first.
    private func start(row: Int) -> UnsafeMutablePointer<Float> {
        base + Self.count(rows: row, timeSteps: timeSteps, columns: columns)
    }

    /// Packs one shard of a node: `x` is `[timeSteps][rows]` of rows `stride` apart.
    package func pack(_ x: UnsafePointer<Float>, stride: Int, _ node: NodeRows, shard: Int) {
        var own = node
        own.timeSteps = timeSteps
        own.firstRow += shard * rowsPerShard
        own.shards = 1
        InstructionSet.table.pointee.pack_rows(
            ls_rows(base: x, stride: stride), own.raw, 0, columns, start(row: own.firstRow))
    }

    /// The inputs of a part of a node from the time step `time` on.
    package func inputs(
        of node: NodeRows, from time: Int, out: UnsafeMutablePointer<Float>
    ) -> WeightGradient.Inputs {
        precondition(time + node.timeSteps <= timeSteps)
        let each = InstructionSet.table.pointee.panel_width * rowsPerShard
        return WeightGradient.Inputs(
            packed: start(row: node.firstRow) + time * each, panel: timeSteps * each, out: out)
    }
}
