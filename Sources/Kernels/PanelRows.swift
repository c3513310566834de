import CKernels

/// Rows of all time steps of a worker in panels of some columns, `[time step][panel][row][width]`: products read them row
/// by row, weight gradients panel by panel, and both as they lie there.
package struct PanelRows: Sendable {
    /// Columns of a panel.
    package static var width: Int { InstructionSet.table.pointee.panel_width }

    private let buffer: FloatBuffer
    private let rows: Int
    private let timeSteps: Int
    private let columns: Int
    /// Floats from a panel to the next.
    package let panel: Int
    /// Floats from a time step to the next.
    private let step: Int

    /// Room for `[timeSteps][rows][columns]`, zeroed.
    package init(rows: Int, timeSteps: Int, columns: Int) {
        self.rows = rows
        self.timeSteps = timeSteps
        self.columns = columns
        // An odd number of lines of a panel from a time step to the next: a shard's rows of it, which all tiles of a block
        // pass over, are spread over all sets of the caches.
        let panels = Self.panels(of: columns)
        panel = rows * Self.width
        step = panels * rows % 2 == 0 ? panels * panel + 9 * Self.width : panels * panel
        buffer = FloatBuffer(count: timeSteps * step)
    }

    private static func panels(of columns: Int) -> Int { (columns + width - 1) / width }

    /// Where the first panel has a row; each further one has it ``panel`` floats on.
    package func base(row: Int, time: Int) -> UnsafeMutablePointer<Float> {
        precondition(row < rows && time < timeSteps)
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
        precondition(node.firstRow + node.shards * node.rowsPerShard <= rows && time + node.timeSteps <= timeSteps)
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

    /// Copies a row out of its panels to `values`, `[columns]`.
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
