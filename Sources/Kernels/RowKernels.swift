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
