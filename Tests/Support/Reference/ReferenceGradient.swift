/// Gradients of a loss, by the reference.
package struct ReferenceGradient<Scalar: ReferenceScalar>: Sendable {
    /// In the order of the `ParameterLayout`.
    package let parameters: [Scalar]
    /// `[B][layers][h, c][H]`: with respect to the state before the window.
    package let carry: [Scalar]
    /// `[B, T, V]`; nil where the input was tokens.
    package let input: [Scalar]?
}
