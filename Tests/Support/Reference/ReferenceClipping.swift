/// `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_` over all gradients together.
package enum ReferenceClipping {
    /// The root of the sum of squares, or the largest magnitude.
    package enum Norm: Sendable { case euclidean, largest }

    /// The norm of a whole gradient, by one chain of multiply-adds in ascending order.
    package static func norm<Scalar: ReferenceScalar>(_ gradient: [Scalar], _ kind: Norm = .euclidean) -> Scalar {
        switch kind {
        case .euclidean:
            Scalar.chain(0, Strided(gradient), Strided(gradient), count: gradient.count).squareRoot()
        case .largest: gradient.reduce(0) { max($0, abs($1)) }
        }
    }

    /// What every gradient is multiplied by so that their norm is at most `largest`.
    package static func coefficient<Scalar: ReferenceScalar>(norm: Scalar, largest: Scalar) -> Scalar {
        min(1, largest / (norm + 1e-6))
    }

    /// Each element brought within minus `largest` and `largest`.
    package static func clamped<Scalar: ReferenceScalar>(_ gradient: [Scalar], to largest: Scalar) -> [Scalar] {
        gradient.map { min(max($0, -largest), largest) }
    }
}
