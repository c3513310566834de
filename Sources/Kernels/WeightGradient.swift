import CKernels

/// Gradients of weights: sums over (time, row) of each shard in that order, and the canonical tree over the shards.
package enum WeightGradient {
    /// Most rows of the result that are computed at a time.
    package static var blockRows: Int { InstructionSet.table.pointee.block_rows }

    /// Cuts `count` rows of the result into blocks: as many rows for one thread as for another, and then by whole groups of
    /// those columns of the gradient that are packed together, of which an odd one takes longer. The largest stand first:
    /// threads that take one after the other end at about the same time.
    package static func blocks(of count: Int, threads: Int) -> [Range<Int>] {
        let width = Int(LS_WIDTH)
        let vectors = (count + width - 1) / width
        let blocks = (0..<threads).flatMap { thread in
            let start = vectors * thread / threads * width
            return cut(start..<min(count, vectors * (thread + 1) / threads * width))
        }
        return threads == 1 ? blocks : blocks.sorted { ($0.count, $1.lowerBound) > ($1.count, $0.lowerBound) }
    }

    private static func cut(_ rows: Range<Int>) -> [Range<Int>] {
        let group = InstructionSet.table.pointee.group_rows
        let groups = (rows.count + group - 1) / group
        let most = blockRows / group
        let blocks = (groups + most - 1) / most
        return (0..<blocks).map { block in
            rows.lowerBound + groups * block / blocks
                * group..<min(rows.upperBound, rows.lowerBound + groups * (block + 1) / blocks * group)
        }
    }

    /// Floats of the working space for a block of rows of the result.
    package static func blockCount(_ node: NodeRows, rows: Int) -> Int {
        ls_weight_block(InstructionSet.table, node.raw, rows)
    }

    /// Floats of the partial sums of a node of `shards` shards, for a block of rows: they live from part to part.
    package static func stackCount(shards: Int, rows: Int, columns: Int, inputs: Int) -> Int {
        ls_weight_stack(InstructionSet.table, shards, rows, columns, inputs)
    }

    /// What a layer's gates were multiplied with, and the gradient of the weight between them.
    package struct Inputs: @unchecked Sendable {
        // @unchecked: only read while threads share it; they write disjoint rows of `out`.
        /// The inputs of a part of a node, in panels: see ``PanelRows``.
        let base: UnsafePointer<Float>
        let panel: Int
        let step: Int
        /// `[., columns]`.
        let out: UnsafeMutablePointer<Float>
    }

    /// A one-hot input of a layer's gates, and the gradient of the weight between them.
    package struct Table: @unchecked Sendable {
        // @unchecked: only read while threads share it; they write disjoint rows of `out`.
        private let tokens: UnsafePointer<UInt32>
        private let vocabulary: Int
        private let out: UnsafeMutablePointer<Float>

        /// - Parameters:
        ///   - tokens: `[T][rows]`.
        ///   - out: `[., vocabulary]`.
        package init(tokens: UnsafePointer<UInt32>, vocabulary: Int, out: UnsafeMutablePointer<Float>) {
            self.tokens = tokens
            self.vocabulary = vocabulary
            self.out = out
        }

        /// Floats of the partial sums of some columns of the gates.
        package func stackCount(shards: Int, columns: Int) -> Int { ls_table_stack(shards, columns, vocabulary) }

        fileprivate func raw(_ stack: UnsafeMutablePointer<Float>) -> ls_table {
            ls_table(tokens: tokens, vocabulary: vocabulary, out: out, stack: stack)
        }
    }

    /// Rows `rows` of the gradients of some weights and of their bias, at most ``blockRows``; written
    /// when the last part is in.
    ///
    /// Each element is the canonical tree over the node's shards of the sums over a shard's (time, row) pairs, in this order,
    /// of `gradient` times input.
    ///
    /// - Parameters:
    ///   - gradient: of the gates, `[T][node.rows]` of rows `stride` floats apart.
    ///   - rows: of the weights, which are columns of `gradient`.
    ///   - columns: of the weights, alike for all.
    ///   - inputs: what the gates were multiplied with, and the weights' gradients.
    ///   - bias: becomes the sums of `gradient` alone; nil for none.
    ///   - table: a one-hot input too, with ``Table/stackCount(shards:columns:)`` floats of partial sums, which live from
    ///     part to part.
    ///   - block: ``blockCount(_:rows:)`` floats of working space.
    ///   - stack: ``stackCount(shards:rows:columns:inputs:)`` floats, which live from part to part.
    package static func compute(
        _ gradient: UnsafePointer<Float>, stride: Int, _ node: NodeRows, rows: Range<Int>, columns: Int,
        inputs: [Inputs], bias: UnsafeMutablePointer<Float>?,
        table: (table: Table, stack: UnsafeMutablePointer<Float>)? = nil, block: UnsafeMutablePointer<Float>,
        stack: UnsafeMutablePointer<Float>
    ) {
        precondition(rows.count <= blockRows)
        let inputs = inputs.map { ls_inputs(base: $0.base, panel: $0.panel, step: $0.step, out: $0.out) }
        func compute(_ table: UnsafePointer<ls_table>?) {
            InstructionSet.table.pointee.weight_gradient(
                ls_rows(base: gradient, stride: stride), node.raw, rows.lowerBound, rows.upperBound, columns,
                inputs.count, inputs, bias, table, block, stack)
        }
        if let table {
            withUnsafePointer(to: table.table.raw(table.stack), compute)
        } else {
            compute(nil)
        }
    }

    /// Rows `rows` of the gradient of a one-hot input's weight alone; written when the last part is in. As the other, but
    /// for `stack`: ``Table/stackCount(shards:columns:)`` floats.
    package static func compute(
        _ gradient: UnsafePointer<Float>, stride: Int, _ node: NodeRows, rows: Range<Int>, table: Table,
        stack: UnsafeMutablePointer<Float>
    ) {
        withUnsafePointer(to: table.raw(stack)) {
            InstructionSet.table.pointee.table_gradient(
                ls_rows(base: gradient, stride: stride), node.raw, rows.lowerBound, rows.upperBound, $0)
        }
    }
}
