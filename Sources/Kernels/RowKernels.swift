import CKernels

/// Kernels over one row.
package enum RowKernels {
    package static func cellForward(
        hidden: Int, gates: UnsafeMutablePointer<Float>, previous: UnsafePointer<Float>,
        c: UnsafeMutablePointer<Float>, h: UnsafeMutablePointer<Float>
    ) {
        InstructionSet.table.pointee.cell_forward(hidden, gates, previous, c, h)
    }

    package static func cellBackward(
        hidden: Int, gates: UnsafeMutablePointer<Float>, previous: UnsafePointer<Float>, c: UnsafePointer<Float>,
        dh: UnsafePointer<Float>, dc: UnsafeMutablePointer<Float>
    ) {
        InstructionSet.table.pointee.cell_backward(hidden, gates, previous, c, dh, dc)
    }

    /// The loss in nats; `logits` become the gradient of `scale` times it.
    package static func softmaxLoss(
        vocabulary: Int, logits: UnsafeMutablePointer<Float>, target: UInt32, scale: Float
    ) -> Double {
        InstructionSet.table.pointee.softmax_loss(vocabulary, logits, target, scale)
    }

    package static func loss(vocabulary: Int, logits: UnsafePointer<Float>, target: UInt32) -> Double {
        InstructionSet.table.pointee.loss(vocabulary, logits, target)
    }
}

/// Dropout whose masks are a pure function of (seed, step, layer, row, time, unit): Philox4x32-10, 16 bits a unit.
package struct DropoutMask: Sendable {
    package let threshold: UInt32
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
    package func apply(
        hidden: Int, layer: Int, time: Int, row: Int, step: UInt64, to h: UnsafePointer<Float>,
        into out: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<UInt8>
    ) {
        InstructionSet.table.pointee.dropout_forward(
            hidden, seed, UInt32(layer), UInt32(time), UInt32(row), UInt32(truncatingIfNeeded: step), threshold, scale,
            h, out, mask)
    }

    /// Applies a drawn mask to the gradient of what it was applied to.
    package func applyBackward(
        hidden: Int, mask: UnsafePointer<UInt8>, to gradient: UnsafeMutablePointer<Float>
    ) {
        InstructionSet.table.pointee.dropout_backward(hidden, scale, mask, gradient)
    }
}
