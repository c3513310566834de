package import Kernels

/// A model forward only, dropout off: for validation and sampling. The same bits as the training path without dropout.
package final class ForwardEngine: @unchecked Sendable {
    // @unchecked: immutable after init; all state of a call is the call's own. One call at a time uses the pool.
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

    /// One step of every row.
    ///
    /// - Parameters:
    ///   - tokens: one a row.
    ///   - carry: for each row `[layers][h, c][H]`; moved on by the step.
    /// - Returns: `[rows][V]`.
    package func logits(tokens: [UInt32], carry: inout [Float]) -> [Float] {
        let state = State(shape: shape, rows: tokens.count)
        state.load(carry)
        if pool.threads == 1 { step(tokens, state, rows: 0..<tokens.count) } else { stepTogether(tokens, state) }
        state.store(&carry)
        return state.logits.array
    }

    /// The summed loss in nats of `rows` rows over a window, time outside.
    ///
    /// - Parameters:
    ///   - inputs: row-major, rows x window; so are the targets.
    ///   - carry: as in ``logits(tokens:carry:)``.
    package func loss(inputs: [UInt32], targets: [UInt32], rows: Int, window: Int, carry: inout [Float]) -> Double {
        losses(inputs: inputs, targets: targets, rows: rows, window: window, carry: &carry).reduce(0, +)
    }

    /// The loss in nats of every target, `[window][rows]`. What a row gets does not depend on the rows beside it.
    ///
    /// - Parameters:
    ///   - inputs: row-major, rows x window; so are the targets.
    ///   - carry: as in ``logits(tokens:carry:)``.
    package func losses(
        inputs: [UInt32], targets: [UInt32], rows: Int, window: Int, carry: inout [Float]
    ) -> [Double] {
        precondition(inputs.count == rows * window && targets.count == rows * window)
        let state = State(shape: shape, rows: rows)
        state.load(carry)
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
        state.store(&carry)
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

    private final class State: @unchecked Sendable {
        // @unchecked: threads write disjoint rows.
        let shape: ModelShape
        let rows: Int
        /// Floats from a row to the next, of gates and of `H` units.
        let gateStride: Int
        let stride: Int
        let h: [FloatBuffer]
        let c: [FloatBuffer]
        let gates: FloatBuffer
        let logits: FloatBuffer

        init(shape: ModelShape, rows: Int) {
            self.shape = shape
            self.rows = rows
            let (gateStride, stride) = (RowStride.of(columns: 4 * shape.hidden), RowStride.of(columns: shape.hidden))
            (self.gateStride, self.stride) = (gateStride, stride)
            h = (0..<shape.layers).map { _ in FloatBuffer(count: rows * stride) }
            c = (0..<shape.layers).map { _ in FloatBuffer(count: rows * stride) }
            gates = FloatBuffer(count: rows * gateStride)
            logits = FloatBuffer(count: rows * shape.vocabulary)
        }

        private func each(_ body: (_ carry: Int, _ buffer: FloatBuffer, _ place: Int) -> Void) {
            for row in 0..<rows {
                for layer in 0..<shape.layers {
                    let at = row * shape.carryCount + layer * 2 * shape.hidden
                    body(at, h[layer], row * stride)
                    body(at + shape.hidden, c[layer], row * stride)
                }
            }
        }

        func load(_ carry: [Float]) {
            precondition(carry.count == rows * shape.carryCount)
            each { at, buffer, place in
                for unit in 0..<shape.hidden { buffer.base[place + unit] = carry[at + unit] }
            }
        }

        func store(_ carry: inout [Float]) {
            carry.withUnsafeMutableBufferPointer { carry in
                each { at, buffer, place in
                    for unit in 0..<shape.hidden { carry[at + unit] = buffer.base[place + unit] }
                }
            }
        }
    }

    /// One step of all rows, whose products the threads share by columns: each reads its part of the weights only, which
    /// is what the time goes into where rows are few.
    private func stepTogether(_ tokens: [UInt32], _ state: State) {
        let (count, rows, threads) = (4 * shape.hidden, tokens.count, pool.threads)
        let (stride, width) = (state.stride, state.gateStride)
        for layer in 0..<shape.layers {
            for (row, token) in tokens.enumerated() {
                let start = layer == 0 ? model.table.base + Int(token) * count : model.biases[layer].base
                (state.gates.base + row * width).update(from: start, count: count)
            }
            pool.run { [self] thread in
                if layer > 0 {
                    model.input[layer - 1].multiply(
                        state.h[layer - 1].base, stride: stride, rows: rows, into: state.gates.base, stride: width,
                        part: thread, of: threads)
                }
                model.recurrent[layer].multiply(
                    state.h[layer].base, stride: stride, rows: rows, into: state.gates.base, stride: width,
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
                state.h[shape.layers - 1].base, stride: stride, rows: rows, into: state.logits.base,
                stride: shape.vocabulary, part: thread, of: threads)
        }
    }

    private func cells(_ layer: Int, _ state: State, rows: Range<Int>) {
        let (hidden, stride, width) = (shape.hidden, state.stride, state.gateStride)
        for row in rows {
            RowKernels.cellForward(
                hidden: hidden, gates: state.gates.base + row * width, previous: state.c[layer].base + row * stride,
                c: state.c[layer].base + row * stride, h: state.h[layer].base + row * stride)
        }
    }

    /// One step of some rows, on one thread.
    private func step(_ tokens: [UInt32], _ state: State, rows: Range<Int>) {
        guard !rows.isEmpty else { return }
        let (count, stride, width) = (4 * shape.hidden, state.stride, state.gateStride)
        let gates = state.gates.base + rows.lowerBound * width
        for layer in 0..<shape.layers {
            let recurrent = model.recurrent[layer]
            let h = state.h[layer].base + rows.lowerBound * stride
            if layer == 0 {
                recurrent.multiply(h, stride: stride, rows: rows.count, into: gates, stride: width) { index in
                    UnsafePointer(model.table.base + Int(tokens[rows.lowerBound + index]) * count)
                }
            } else {
                model.input[layer - 1].multiply(
                    state.h[layer - 1].base + rows.lowerBound * stride, stride: stride, rows: rows.count,
                    then: (UnsafePointer(h), recurrent), into: gates, stride: width
                ) { _ in UnsafePointer(model.biases[layer].base) }
            }
            cells(layer, state, rows: rows)
        }
        let logits = state.logits.base + rows.lowerBound * shape.vocabulary
        model.output.multiply(
            state.h[shape.layers - 1].base + rows.lowerBound * stride, stride: stride, rows: rows.count, into: logits,
            stride: shape.vocabulary
        ) { _ in UnsafePointer(model.outputBias.base) }
    }
}
