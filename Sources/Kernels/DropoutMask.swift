import CKernels

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
