import CKernels

/// Rows of all time steps of a worker in panels of some columns, each `[row][width]`: products read them row by row,
/// weight gradients panel by panel, and both as they lie there.
package struct PanelRows: Sendable {
    /// Columns of a panel.
    package static var width: Int { InstructionSet.table.pointee.panel_width }

    private let buffer: FloatBuffer
    private let rows: Int
    private let columns: Int
    /// Floats from a panel to the next.
    package let panel: Int
    /// Floats from a time step to the next.
    private let step: Int

    package init(rows: Int, timeSteps: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        let (panels, each) = (Self.panels(of: columns), rows * Self.width)
        if rows < 32 {
            // Panel by panel: few rows of a time step would be all that is read of a page.
            step = each
            panel = RowStride.of(columns: timeSteps * each)
            buffer = FloatBuffer(count: panels * panel)
        } else {
            // Time step by time step, so that a product's rows lie together. A shard's rows of a panel are to stay in L2
            // while all tiles of a block pass: some multiple of 8 KiB apart, they would evict each other.
            panel = each
            step = panels * each % 2048 == 0 ? panels * each + 256 : panels * each
            buffer = FloatBuffer(count: timeSteps * step)
        }
    }

    private static func panels(of columns: Int) -> Int { (columns + width - 1) / width }

    /// Where the first panel has a row; each further one has it ``panel`` floats on.
    package func base(row: Int, time: Int) -> UnsafeMutablePointer<Float> {
        precondition(row < rows)
        return buffer.base + time * step + row * Self.width
    }

    /// As an operand of products.
    package func operand(row: Int, time: Int) -> PackedWeight.Operand {
        PackedWeight.Operand(base: base(row: row, time: time), stride: Self.width, group: panel)
    }

    /// As inputs of weights: those of a part of a node from a time step on, and where the weights' gradient goes.
    package func inputs(
        of node: NodeRows, from time: Int, out: UnsafeMutablePointer<Float>
    ) -> WeightGradient.Inputs {
        precondition(node.firstRow + node.shards * node.rowsPerShard <= rows)
        return WeightGradient.Inputs(base: base(row: node.firstRow, time: time), panel: panel, step: step, out: out)
    }

    /// The floats of some rows of a time step.
    package func spans(rows: Range<Int>, time: Int) -> [PackedWeight.Span] {
        let first = base(row: rows.lowerBound, time: time)
        return (0..<Self.panels(of: columns)).map {
            PackedWeight.Span(base: first + $0 * panel, count: rows.count * Self.width)
        }
    }

    /// Copies a row in or out, `[columns]`.
    package func store(_ values: UnsafePointer<Float>, row: Int, time: Int) {
        forEachPiece(row: row, time: time) { piece, range in
            piece.update(from: values + range.lowerBound, count: range.count)
        }
    }

    package func load(row: Int, time: Int, into values: UnsafeMutablePointer<Float>) {
        forEachPiece(row: row, time: time) { piece, range in
            (values + range.lowerBound).update(from: piece, count: range.count)
        }
    }

    private func forEachPiece(row: Int, time: Int, _ body: (UnsafeMutablePointer<Float>, Range<Int>) -> Void) {
        var piece = base(row: row, time: time)
        for first in stride(from: 0, to: columns, by: Self.width) {
            body(piece, first..<min(columns, first + Self.width))
            piece += panel
        }
    }
}
