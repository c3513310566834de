import Kernels

/// The passes that are independent from row to row: forward, and backward through time. A thread takes some rows
/// through a whole window without waiting for another.
struct RowPass: Sendable {
    // Threads are given disjoint rows.
    let model: PackedModel
    let activations: Activations
    let geometry: EngineGeometry
    let step: UInt64
    private let dropout: DropoutMask

    init(model: PackedModel, activations: Activations, geometry: EngineGeometry, step: UInt64) {
        self.model = model
        self.activations = activations
        self.geometry = geometry
        self.step = step
        dropout = DropoutMask(probability: geometry.dropout, seed: geometry.seed)
    }

    private var total: Int { activations.rows }
    private var hidden: Int { geometry.shape.hidden }
    private var stride: Int { activations.stride }

    /// All layers.
    func forward(rows: Range<Int>) {
        guard !rows.isEmpty else { return }
        for layer in 0..<geometry.shape.layers {
            for time in 0..<geometry.window { forward(layer: layer, time: time, rows: rows) }
        }
    }

    private func forward(layer: Int, time: Int, rows: Range<Int>) {
        let held = activations
        let width = held.gateStride
        let at = time * total + rows.lowerBound
        let gates = held.gates[layer].base + at * width
        // Looked up once: an array of buffers is reference-counted at each look.
        let (before, h) = (held.c[layer].base + at * stride, held.h[layer])
        let after = before + total * stride
        let recurrent = model.recurrent[layer]
        let state = h.operand(row: rows.lowerBound, time: time)
        // What the cells write, and the inputs of the next time step.
        var soon = [span(after, rows)] + h.spans(rows: rows, time: time + 1)
        if layer > 0 && time + 1 < geometry.window {
            soon += held.output(layer: layer - 1).spans(rows: rows, time: time + 2)
        }
        if layer == 0 {
            recurrent.multiply(state, rows: rows.count, into: gates, stride: width, soon: soon) { row in
                model.input(of: held.inputs[at + row])
            }
        } else {
            model.input[layer - 1].multiply(
                held.output(layer: layer - 1).operand(row: rows.lowerBound, time: time + 1), rows: rows.count,
                then: (state, recurrent), into: gates, stride: width, soon: soon
            ) { _ in UnsafePointer(model.biases[layer].base) }
        }
        let output = h.base(row: rows.lowerBound, time: time + 1)
        let dropped =
            held.dropped.isEmpty
            ? nil
            : (
                output: held.dropped[layer].base(row: rows.lowerBound, time: time + 1),
                masks: held.maskPointers[layer]
            )
        for row in 0..<rows.count {
            let offset = row * PanelRows.width
            RowKernels.cellForward(
                hidden: hidden, gates: gates + row * width, previous: before + row * stride, c: after + row * stride,
                h: output + offset, group: h.panel)
            guard let dropped else { continue }
            dropout.apply(
                hidden: hidden, layer: layer, time: time, row: held.globalRows[rows.lowerBound + row], step: step,
                to: output + offset, into: dropped.output + offset, group: h.panel,
                mask: dropped.masks + (at + row) * held.maskBytes)
        }
    }

    /// The floats of some rows that begin at `base`.
    private func span(_ base: UnsafePointer<Float>, _ rows: Range<Int>, stride: Int? = nil) -> PackedWeight.Span {
        PackedWeight.Span(base: base, count: rows.count * (stride ?? self.stride))
    }

    /// Applies the mask of a layer's output to the gradient of that output.
    private func mask(layer: Int, at: Int, rows: Int) {
        let held = activations
        guard !held.dropped.isEmpty else { return }
        let (masks, dx) = (held.maskPointers[layer], held.dx.base)
        for row in at..<at + rows {
            dropout.applyBackward(hidden: hidden, mask: masks + row * held.maskBytes, to: dx + row * stride)
        }
    }

    /// One layer backward through time; leaves the gradients of its gates, and in `dx` that of the layer below.
    func backward(layer: Int, rows: Range<Int>) {
        guard !rows.isEmpty else { return }
        let held = activations
        let width = held.gateStride
        let dc = held.dc.base + rows.lowerBound * stride
        dc.update(repeating: 0, count: rows.count * stride)
        for time in (0..<geometry.window).reversed() {
            let at = time * total + rows.lowerBound
            let gates = held.gates[layer].base + at * width
            let dh = held.dx.base + at * stride
            // What the next product goes on from.
            let next = time > 0 ? [span(dh - total * stride, rows)] : []
            if time + 1 < geometry.window {
                // What the cells read: it was written a whole pass ago.
                let soon = [span(gates, rows, stride: width), span(held.c[layer].base + at * stride, rows)]
                model.recurrentBack[layer].multiply(
                    .init(gates + total * width, stride: width), rows: rows.count, into: dh, stride: stride,
                    soon: layer > 0 ? soon : soon + next)
            }
            let c = held.c[layer].base + at * stride
            for row in 0..<rows.count {
                RowKernels.cellBackward(
                    hidden: hidden, gates: gates + row * width, previous: c + row * stride,
                    c: c + (total + row) * stride, dh: dh + row * stride, dc: dc + row * stride)
            }
            guard layer > 0 else { continue }
            model.inputBack[layer - 1].multiply(
                .init(gates, stride: width), rows: rows.count, into: dh, stride: stride, soon: next
            ) { _ in UnsafePointer(model.zeros.base) }
            mask(layer: layer - 1, at: at, rows: rows.count)
        }
    }
}
