import CKernels

/// Where the shards of one node of the reduction tree lie among the rows of a worker.
package struct NodeRows: Sendable {
    package var rows: Int
    package var timeSteps: Int
    package var firstRow: Int
    package var rowsPerShard: Int
    package var shards: Int

    package init(rows: Int, timeSteps: Int, firstRow: Int, rowsPerShard: Int, shards: Int) {
        self.rows = rows
        self.timeSteps = timeSteps
        self.firstRow = firstRow
        self.rowsPerShard = rowsPerShard
        self.shards = shards
    }

    var raw: ls_node {
        ls_node(rows: rows, time_steps: timeSteps, first_row: firstRow, rows_per_shard: rowsPerShard, count: shards)
    }
}

/// Gradients of weights: sums over (time, row) of each shard in that order, and the canonical tree over the shards.
package enum WeightGradient {
    /// Rows of the result that one call computes at a time.
    package static var blockRows: Int { 8 * InstructionSet.table.pointee.tile_rows }

    package static func packedCount(_ node: NodeRows, columns: Int) -> Int {
        let width = InstructionSet.table.pointee.panel_width
        return (columns + width - 1) / width * width * node.timeSteps * node.rowsPerShard * node.shards
    }

    /// Packs the inputs of one shard of a node.
    package static func pack(
        _ x: UnsafePointer<Float>, stride: Int, _ node: NodeRows, shard: Int, columns: Int,
        into packed: UnsafeMutablePointer<Float>
    ) {
        let each = packedCount(node, columns: columns) / node.shards
        InstructionSet.table.pointee.pack_rows(
            ls_rows(base: x, stride: stride), node.raw, shard, columns, packed + shard * each)
    }

    package static func scratchCount(_ node: NodeRows, columns: Int) -> Int {
        ls_weight_scratch(InstructionSet.table, node.raw, blockRows, columns)
    }

    /// Rows `rows` of `out[., columns]`, from `gradient` (stride as given) and the packed inputs.
    package static func compute(
        _ gradient: UnsafePointer<Float>, stride: Int, packed: UnsafePointer<Float>, _ node: NodeRows,
        rows: Range<Int>, columns: Int, into out: UnsafeMutablePointer<Float>, scratch: FloatBuffer
    ) {
        precondition(scratch.count >= scratchCount(node, columns: columns) && rows.count <= blockRows)
        InstructionSet.table.pointee.weight_gradient(
            ls_rows(base: gradient, stride: stride), packed, node.raw, rows.lowerBound, rows.upperBound, columns, out,
            columns, scratch.base)
    }

    package static func columnScratchCount(_ node: NodeRows, columns: Int, vocabulary: Int) -> Int {
        ls_column_scratch(node.raw, columns, vocabulary)
    }

    /// The bias gradient of some columns and, with tokens, that of a one-hot input's weight `[., vocabulary]`.
    package static func computeColumns(
        _ gradient: UnsafePointer<Float>, stride: Int, tokens: UnsafePointer<UInt32>?, vocabulary: Int,
        _ node: NodeRows, columns: Range<Int>, weight: UnsafeMutablePointer<Float>?,
        bias: UnsafeMutablePointer<Float>?, scratch: FloatBuffer
    ) {
        precondition(
            scratch.count
                >= columnScratchCount(node, columns: columns.count, vocabulary: weight == nil ? 0 : vocabulary))
        InstructionSet.table.pointee.column_gradient(
            ls_rows(base: gradient, stride: stride), tokens, vocabulary, node.raw, columns.lowerBound,
            columns.upperBound, weight, bias, scratch.base)
    }
}
