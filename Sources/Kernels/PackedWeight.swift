import CKernels

/// A weight matrix in panels, made once a step and used for every time step.
package final class PackedWeight: Sendable {
    /// Floats side by side in memory.
    package struct Span {
        let raw: ls_span

        package init(base: UnsafePointer<Float>, count: Int) { raw = ls_span(base: base, count: count) }
    }

    /// The rows that are multiplied with the weight.
    package struct Operand {
        fileprivate let base: UnsafePointer<Float>
        fileprivate let stride: Int
        fileprivate let group: Int

        /// Rows `stride` floats apart, each in one piece.
        package init(_ base: UnsafePointer<Float>, stride: Int) {
            self.init(base: base, stride: stride, group: PanelRows.width)
        }

        /// - Parameter group: floats from the beginning of a run of ``PanelRows/width`` columns to that of the next.
        init(base: UnsafePointer<Float>, stride: Int, group: Int) {
            self.base = base
            self.stride = stride
            self.group = group
        }

        fileprivate func times(_ panels: UnsafePointer<Float>) -> ls_product {
            ls_product(a: base, stride: stride, group: group, packed: panels)
        }
    }

    /// Columns of the result and length of the sums.
    package let columns: Int
    package let inner: Int
    // Written by one thread before the others read.
    private let panels: FloatBuffer

    /// Room for the weight of `x [., inner] -> y [., columns]`.
    package init(columns: Int, inner: Int) {
        self.columns = columns
        self.inner = inner
        let width = InstructionSet.table.pointee.panel_width
        panels = FloatBuffer(count: (columns + width - 1) / width * width * inner)
    }

    /// Takes `W` row-major `[columns, inner]`: the product will be `x W^T`.
    package func packTransposed(_ weight: UnsafePointer<Float>) {
        InstructionSet.table.pointee.pack_transposed(columns, inner, weight, panels.base)
    }

    /// Takes `W` row-major `[inner, columns]`: the product will be `x W`.
    package func pack(_ weight: UnsafePointer<Float>) {
        InstructionSet.table.pointee.pack(columns, inner, weight, panels.base)
    }

    /// `c[rows, columns] += a[rows, inner] B`: each element one chain of fused multiply-adds from the value it holds.
    ///
    /// - Parameters:
    ///   - soon: what will be needed after this, and is fetched meanwhile.
    ///   - part: of `parts` nearly equal ones, so that threads may share the columns; all of them by default.
    package func multiply(
        _ a: Operand, rows: Int, into c: UnsafeMutablePointer<Float>, stride: Int, soon: [Span] = [], part: Int = 0,
        of parts: Int = 1
    ) {
        let width = InstructionSet.table.pointee.panel_width
        let count = (columns + width - 1) / width
        let first = count * part / parts * width
        let end = min(columns, count * (part + 1) / parts * width)
        guard first < end else { return }
        var product = a.times(panels.base + first * inner)
        InstructionSet.table.pointee.gemm(
            rows, end - first, inner, 1, &product, nil, c + first, stride, soon.count, soon.map(\.raw))
    }

    /// `c[rows, columns] = start + a[rows, inner] B`: each element one chain of fused multiply-adds.
    ///
    /// - Parameters:
    ///   - next: rows and a weight of the same size, whose products the chains go on with.
    ///   - soon: what will be needed after this, and is fetched meanwhile.
    ///   - start: where the `columns` values are that the chains of a row begin with.
    package func multiply(
        _ a: Operand, rows: Int, then next: (a: Operand, weight: PackedWeight)? = nil,
        into c: UnsafeMutablePointer<Float>, stride: Int, soon: [Span] = [],
        start: (_ row: Int) -> UnsafePointer<Float>
    ) {
        withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: rows) { starts in
            for row in 0..<rows { starts.initializeElement(at: row, to: start(row)) }
            withUnsafeTemporaryAllocation(of: ls_product.self, capacity: 2) { products in
                products[0] = a.times(panels.base)
                if let next {
                    precondition(next.weight.columns == columns && next.weight.inner == inner)
                    products[1] = next.a.times(next.weight.panels.base)
                }
                InstructionSet.table.pointee.gemm(
                    rows, columns, inner, next == nil ? 1 : 2, products.baseAddress, starts.baseAddress, c, stride,
                    soon.count, soon.map(\.raw))
            }
        }
    }
}
