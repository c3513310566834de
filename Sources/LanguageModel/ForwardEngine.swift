package import Kernels

/// A model forward only, dropout off: for validation and sampling. The same bits as the training path without dropout.
package final class ForwardEngine: Sendable {
    // Immutable after init; a state is its caller's. One call at a time uses the pool.
    private let shape: ModelShape
    private let model: PackedModel
    private let pool: ComputePool

    /// - Parameter parameters: read here and not kept.
    package init(shape: ModelShape, parameters: FloatBuffer, threads: Int) {
        self.shape = shape
        pool = ComputePool(threads: threads)
        model = PackedModel(shape: shape, backwardWindow: nil)
        model.pack(parameters, pool: pool)
    }

    deinit { pool.close() }

    /// One step of every row: moves the state on, and leaves the logits in it.
    ///
    /// - Parameter tokens: one a row.
    package func step(tokens: [UInt32], _ state: ForwardState) {
        precondition(tokens.count == state.rows)
        if pool.threads == 1 { step(tokens, state, rows: 0..<tokens.count) } else { stepTogether(tokens, state) }
    }

    /// The summed loss in nats of all rows over a window, time outside.
    ///
    /// - Parameters:
    ///   - inputs: row-major, rows x window; so are the targets.
    ///   - state: moved on by the window.
    package func loss(inputs: [UInt32], targets: [UInt32], window: Int, _ state: ForwardState) -> Double {
        losses(inputs: inputs, targets: targets, window: window, state).reduce(0, +)
    }

    /// The loss in nats of every target, `[window][rows]`. What a row gets does not depend on the rows beside it.
    ///
    /// - Parameters:
    ///   - inputs: row-major, rows x window; so are the targets.
    ///   - state: moved on by the window.
    package func losses(inputs: [UInt32], targets: [UInt32], window: Int, _ state: ForwardState) -> [Double] {
        let rows = state.rows
        precondition(inputs.count == rows * window && targets.count == rows * window)
        let losses = LossTable(count: rows * window)
        pool.run { [pool, self] thread in
            let own = pool.share(of: rows, thread: thread)
            for time in 0..<window {
                step((0..<rows).map { inputs[$0 * window + time] }, state, rows: own)
                for row in own {
                    losses.values[time * rows + row] = RowKernels.loss(
                        vocabulary: shape.vocabulary, logits: state.logits.base + row * shape.vocabulary,
                        target: targets[row * window + time])
                }
            }
        }
        return Array(losses.values)
    }

    private final class LossTable: @unchecked Sendable {
        // @unchecked: threads write disjoint rows.
        let values: UnsafeMutableBufferPointer<Double>
        init(count: Int) {
            values = .allocate(capacity: count)
            values.initialize(repeating: 0)
        }
        deinit { values.deallocate() }
    }

    /// One step of all rows, whose products the threads share by columns: each reads its part of the weights only, which
    /// is what the time goes into where rows are few.
    private func stepTogether(_ tokens: [UInt32], _ state: ForwardState) {
        let (count, rows, threads) = (4 * shape.hidden, tokens.count, pool.threads)
        let (stride, width) = (state.stride, state.gateStride)
        for layer in 0..<shape.layers {
            for (row, token) in tokens.enumerated() {
                let start = layer == 0 ? model.input(of: token) : UnsafePointer(model.biases[layer].base)
                (state.gates.base + row * width).update(from: start, count: count)
            }
            pool.run { [self] thread in
                if layer > 0 {
                    model.input[layer - 1].multiply(
                        .init(state.h[layer - 1].base, stride: stride), rows: rows, into: state.gates.base,
                        stride: width,
                        part: thread, of: threads)
                }
                model.recurrent[layer].multiply(
                    .init(state.h[layer].base, stride: stride), rows: rows, into: state.gates.base, stride: width,
                    part: thread, of: threads)
            }
            if rows < 2 * threads {
                cells(layer, state, rows: 0..<rows)
            } else {
                pool.run { [self] thread in cells(layer, state, rows: pool.share(of: rows, thread: thread)) }
            }
        }
        for row in 0..<rows {
            (state.logits.base + row * shape.vocabulary).update(from: model.outputBias.base, count: shape.vocabulary)
        }
        pool.run { [self] thread in
            model.output.multiply(
                .init(state.h[shape.layers - 1].base, stride: stride), rows: rows, into: state.logits.base,
                stride: shape.vocabulary, part: thread, of: threads)
        }
    }

    private func cells(_ layer: Int, _ state: ForwardState, rows: Range<Int>) {
        let (hidden, stride, width) = (shape.hidden, state.stride, state.gateStride)
        for row in rows {
            RowKernels.cellForward(
                hidden: hidden, gates: state.gates.base + row * width, previous: state.c[layer].base + row * stride,
                c: state.c[layer].base + row * stride, h: state.h[layer].base + row * stride)
        }
    }

    /// One step of some rows, on one thread.
    private func step(_ tokens: [UInt32], _ state: ForwardState, rows: Range<Int>) {
        guard !rows.isEmpty else { return }
        let (stride, width) = (state.stride, state.gateStride)
        let gates = state.gates.base + rows.lowerBound * width
        for layer in 0..<shape.layers {
            let recurrent = model.recurrent[layer]
            let h = PackedWeight.Operand(state.h[layer].base + rows.lowerBound * stride, stride: stride)
            if layer == 0 {
                recurrent.multiply(h, rows: rows.count, into: gates, stride: width) { index in
                    model.input(of: tokens[rows.lowerBound + index])
                }
            } else {
                model.input[layer - 1].multiply(
                    .init(state.h[layer - 1].base + rows.lowerBound * stride, stride: stride), rows: rows.count,
                    then: (h, recurrent), into: gates, stride: width
                ) { _ in UnsafePointer(model.biases[layer].base) }
            }
            cells(layer, state, rows: rows)
        }
        let logits = state.logits.base + rows.lowerBound * shape.vocabulary
        model.output.multiply(
            .init(state.h[shape.layers - 1].base + rows.lowerBound * stride, stride: stride), rows: rows.count,
            into: logits, stride: shape.vocabulary
        ) { _ in UnsafePointer(model.outputBias.base) }
    }
}
