/// What the reference computed on its way forward.
package struct ReferenceForward<Scalar: ReferenceScalar>: Sendable {
    package let batch: ReferenceBatch<Scalar>
    /// `[layers][B * T]`, nil past the end of a row.
    package let steps: [[LSTMCell<Scalar>.Step?]]
    /// `[B, T, H]`: the top layer's, before its mask; zeros past the end of a row.
    package let output: [Scalar]
    /// `[B, T, H]`: what the linear layer read.
    package let maskedOutput: [Scalar]
    /// `[B, T, V]`; zeros past the end of a row.
    package let logits: [Scalar]
    /// `[B][layers][h, c][H]`
    package let carry: [Scalar]
}
