import Kernels

/// What some rows carry from one step of a ``ForwardEngine`` to the next, zero at first; and the last step's logits.
package final class ForwardState: Sendable {
    // One call of an engine at a time uses it, and its threads write disjoint rows.
    package let rows: Int
    private let shape: ModelShape
    /// Floats from a row to the next, of gates and of `H` units.
    let gateStride: Int
    let stride: Int
    /// Each layer's outputs, and its cell states: `[rows][stride]`.
    let h: [FloatBuffer]
    let c: [FloatBuffer]
    let gates: FloatBuffer
    /// `[rows][V]`.
    let logits: FloatBuffer

    /// The state of `rows` rows, zero.
    package init(shape: ModelShape, rows: Int) {
        self.shape = shape
        self.rows = rows
        let (gateStride, stride) = (RowStride.of(columns: 4 * shape.hidden), RowStride.of(columns: shape.hidden))
        (self.gateStride, self.stride) = (gateStride, stride)
        h = (0..<shape.layers).map { _ in FloatBuffer(count: rows * stride) }
        c = (0..<shape.layers).map { _ in FloatBuffer(count: rows * stride) }
        gates = FloatBuffer(count: rows * gateStride)
        logits = FloatBuffer(count: rows * shape.vocabulary)
    }

    /// The rows begin anew, from zero.
    package func reset() {
        for buffer in h + c { buffer.zero() }
    }

    /// `[V]` of a row's last step.
    package func logits(row: Int) -> [Float] {
        precondition((0..<rows).contains(row))
        return Array(UnsafeBufferPointer(start: logits.base + row * shape.vocabulary, count: shape.vocabulary))
    }

    /// The state as a checkpoint has it: `[layers][h, c][H]` for each row.
    package var carry: [Float] {
        get {
            var carry = [Float](repeating: 0, count: rows * shape.carryCount)
            carry.withUnsafeMutableBufferPointer { carry in
                each { at, unit in (carry.baseAddress! + at).update(from: unit, count: shape.hidden) }
            }
            return carry
        }
        set {
            precondition(newValue.count == rows * shape.carryCount)
            newValue.withUnsafeBufferPointer { carry in
                each { at, unit in unit.update(from: carry.baseAddress! + at, count: shape.hidden) }
            }
        }
    }

    /// The places of `H` values in a carry, and here.
    private func each(_ body: (_ at: Int, _ unit: UnsafeMutablePointer<Float>) -> Void) {
        for row in 0..<rows {
            for layer in 0..<shape.layers {
                let at = row * shape.carryCount + layer * 2 * shape.hidden
                body(at, h[layer].base + row * stride)
                body(at + shape.hidden, c[layer].base + row * stride)
            }
        }
    }
}
