import CKernels

/// Gradients of weights: sums over (time, row) of each shard in that order, and the canonical tree over the shards.
package enum WeightGradient {
    /// Rows of the result that come at once: a block of rows is best a multiple of it.
    package static var tileRows: Int { InstructionSet.table.pointee.tile_rows }

    /// How many tiles of rows are best computed at a time: more would push their sums out of L2, fewer would read the
    /// packed inputs more often.
    package static var blockTiles: Int { max(1, 96 / tileRows) }

    /// Floats of the packed inputs of a part of a node.
    package static func packedCount(_ node: NodeRows, columns: Int) -> Int {
        let width = InstructionSet.table.pointee.panel_width
        return (columns + width - 1) / width * width * node.timeSteps * node.rowsPerShard * node.shards
    }

    /// Packs the inputs of one shard of a part: `[T][rows]` of rows `stride` apart.
    package static func pack(
        _ x: UnsafePointer<Float>, stride: Int, _ node: NodeRows, shard: Int, columns: Int,
        into packed: UnsafeMutablePointer<Float>
    ) {
        let each = packedCount(node, columns: columns) / node.shards
        InstructionSet.table.pointee.pack_rows(
            ls_rows(base: x, stride: stride), node.raw, shard, columns, packed + shard * each)
    }

    /// Floats of the working space for a block of rows of the result.
    package static func blockCount(_ node: NodeRows, rows: Int) -> Int {
        ls_weight_block(InstructionSet.table, node.raw, rows)
    }

    /// Floats of the partial sums of a node of `shards` shards, for a block of rows: they live from part to part.
    package static func stackCount(shards: Int, rows: Int, columns: Int) -> Int {
        ls_weight_stack(InstructionSet.table, shards, rows, columns)
    }

    /// Rows `rows` of `out[., columns]`, written when the last part is in.
    package static func compute(
        _ gradient: UnsafePointer<Float>, stride: Int, packed: UnsafePointer<Float>, _ node: NodeRows,
        rows: Range<Int>, columns: Int, into out: UnsafeMutablePointer<Float>, block: UnsafeMutablePointer<Float>,
        stack: UnsafeMutablePointer<Float>
    ) {
        InstructionSet.table.pointee.weight_gradient(
            ls_rows(base: gradient, stride: stride), packed, node.raw, rows.lowerBound, rows.upperBound, columns, out,
            columns, block, stack)
    }

    /// Floats of the partial sums of ``computeColumns``.
    package static func columnStackCount(shards: Int, columns: Int, vocabulary: Int) -> Int {
        ls_column_stack(shards, columns, vocabulary)
    }

    /// The bias gradient of some columns and, with tokens, that of a one-hot input's weight `[., vocabulary]`; written
    /// when the last part is in.
    package static func computeColumns(
        _ gradient: UnsafePointer<Float>, stride: Int, tokens: UnsafePointer<UInt32>?, vocabulary: Int,
        _ node: NodeRows, columns: Range<Int>, weight: UnsafeMutablePointer<Float>?,
        bias: UnsafeMutablePointer<Float>?, stack: UnsafeMutablePointer<Float>
    ) {
        InstructionSet.table.pointee.column_gradient(
            ls_rows(base: gradient, stride: stride), tokens, vocabulary, node.raw, columns.lowerBound,
            columns.upperBound, weight, bias, stack)
    }
}
