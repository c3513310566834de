import CKernels

/// Kernels over one row. Pointers are to whole rows, which the caller owns: nothing is checked here.
package enum RowKernels {
    /// One step of an LSTM cell, as in PyTorch's `torch.nn.LSTM`: `c = f * previous + i * g`, `h = o * tanh(c)`.
    ///
    /// - Parameters:
    ///   - gates: `[4][hidden]`, in the order i, f, g, o; in: the sums before the activations; out: the activations.
    ///   - previous: `[hidden]`, the cell state of the step before.
    ///   - c: `[hidden]`, becomes the cell state.
    ///   - h: `[hidden]`, becomes the output, in runs of ``PanelRows/width`` units `group` floats apart; by default in one
    ///     piece.
    package static func cellForward(
        hidden: Int, gates: UnsafeMutablePointer<Float>, previous: UnsafePointer<Float>,
        c: UnsafeMutablePointer<Float>, h: UnsafeMutablePointer<Float>, group: Int = PanelRows.width
    ) {
        InstructionSet.table.pointee.cell_forward(hidden, gates, previous, c, h, group)
    }

    /// The gradient of ``cellForward(hidden:gates:previous:c:h:group:)``.
    ///
    /// - Parameters:
    ///   - gates: `[4][hidden]`; in: the activations; out: the gradients of the sums before them.
    ///   - previous: `[hidden]`, the cell state of the step before.
    ///   - c: `[hidden]`, the cell state.
    ///   - dh: `[hidden]`, the gradient of the output.
    ///   - dc: `[hidden]`; in: the gradient of the cell state from the later step; out: that for the earlier one.
    package static func cellBackward(
        hidden: Int, gates: UnsafeMutablePointer<Float>, previous: UnsafePointer<Float>, c: UnsafePointer<Float>,
        dh: UnsafePointer<Float>, dc: UnsafeMutablePointer<Float>
    ) {
        InstructionSet.table.pointee.cell_backward(hidden, gates, previous, c, dh, dc)
    }

    /// The cross-entropy of the softmax of one row, in nats; `logits` become the gradient of `scale` times it.
    ///
    /// - Parameters:
    ///   - logits: `[vocabulary]`.
    ///   - target: below `vocabulary`.
    /// - Returns: no finite number where a logit is +infinity or NaN.
    package static func softmaxLoss(
        vocabulary: Int, logits: UnsafeMutablePointer<Float>, target: UInt32, scale: Float
    ) -> Double {
        InstructionSet.table.pointee.softmax_loss(vocabulary, logits, target, scale)
    }

    /// The same loss alone; `logits` stay.
    package static func loss(vocabulary: Int, logits: UnsafePointer<Float>, target: UInt32) -> Double {
        InstructionSet.table.pointee.loss(vocabulary, logits, target)
    }
}

/// Dropout whose masks are a pure function of (seed, step, layer, row, time, unit): Philox4x32-10, 16 bits a unit.
package struct DropoutMask: Sendable {
    /// A unit is dropped where its 16 bits are below it.
    package let threshold: UInt32
    /// What a unit that stays is multiplied by: 1 over the probability of staying.
    package let scale: Float
    package let seed: UInt64

    /// - Parameter probability: of dropping a unit, rounded to 1/65536.
    package init(probability: Double, seed: UInt64) {
        threshold = UInt32((probability * 65536).rounded())
        scale = Float(65536 / (65536 - Double(threshold)))
        self.seed = seed
    }

    /// Bytes of a row's mask.
    package static func byteCount(hidden: Int) -> Int { (hidden + 7) / 8 }

    /// Draws the mask of a row and applies it.
    ///
    /// - Parameters:
    ///   - h: `[hidden]`, in runs of ``PanelRows/width`` units `group` floats apart; by default in one piece.
    ///   - out: `[hidden]`, likewise; becomes `h` with units dropped and the others scaled.
    ///   - mask: ``byteCount(hidden:)`` bytes, becomes a bit a unit, for ``applyBackward(hidden:mask:to:)``.
    package func apply(
        hidden: Int, layer: Int, time: Int, row: Int, step: UInt64, to h: UnsafePointer<Float>,
        into out: UnsafeMutablePointer<Float>, group: Int = PanelRows.width, mask: UnsafeMutablePointer<UInt8>
    ) {
        InstructionSet.table.pointee.dropout_forward(
            hidden, seed, UInt32(layer), UInt32(time), UInt32(row), UInt32(truncatingIfNeeded: step), threshold, scale,
            h, out, group, mask)
    }

    /// Turns the gradient `[hidden]` of what ``apply(hidden:layer:time:row:step:to:into:group:mask:)`` gave into that of
    /// what it took, in place.
    package func applyBackward(
        hidden: Int, mask: UnsafePointer<UInt8>, to gradient: UnsafeMutablePointer<Float>
    ) {
        InstructionSet.table.pointee.dropout_backward(hidden, scale, mask, gradient)
    }
}
