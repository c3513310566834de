import CKernels

/// The scalars of an update in single precision, each rounded once from Double: `1 - beta` taken in single precision
/// would be off by 1e-5.
package struct UpdateCoefficients: Sendable {
    /// Every gradient is multiplied by it first.
    package var clip: Float = 1
    /// Then each of its elements is brought within minus this and this.
    package var clamp: Float = .infinity
    /// The share of the parameter that is added to the gradient.
    package var weightDecay: Float = 0
    /// What the parameter is multiplied by before all else: `1 - rate * decay` for AdamW.
    package var shrink: Float = 1
    /// The learning rate; for Adam over its first bias correction.
    package var rate: Float = 0
    package var oneMinusBeta1: Float = 0
    /// The smoothing of squares and 1 less it: `beta2`, or RMSprop's alpha.
    package var beta2: Float = 0
    package var oneMinusBeta2: Float = 0
    /// The square root of Adam's second bias correction.
    package var biasCorrection2Root: Float = 1
    /// Added to the root that an update is divided by.
    package var epsilon: Float = 0
    /// The velocity is multiplied by it, and gets `oneMinusDampening` times the gradient.
    package var momentum: Float = 0
    package var oneMinusDampening: Float = 1
    package var isNesterov = false
    /// The first update of a run: momentum begins with the gradient.
    package var isFirst = false

    package init() {}

    var raw: ls_update {
        ls_update(
            clip: clip, clamp: clamp, weight_decay: weightDecay, shrink: shrink, rate: rate,
            one_minus_beta1: oneMinusBeta1, beta2: beta2, one_minus_beta2: oneMinusBeta2,
            bias_correction2_root: biasCorrection2Root, epsilon: epsilon, momentum: momentum,
            one_minus_dampening: oneMinusDampening,
            nesterov: isNesterov ? 1 : 0, is_first: isFirst ? 1 : 0)
    }
}

/// Fused updates of parameters `p` and of the optimizer's state, in place, as `torch.optim` computes them for one tensor:
/// one pass over memory. All buffers have the same length.
package enum Updates {
    /// Adam and AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019).
    ///
    /// - Parameters:
    ///   - average: of gradients.
    ///   - square: the average of their squares.
    ///   - largest: of these so far, for AMSGrad; nil without it.
    package static func adam(
        _ p: FloatBuffer, gradient: FloatBuffer, average: FloatBuffer, square: FloatBuffer, largest: FloatBuffer?,
        _ coefficients: UpdateCoefficients
    ) {
        check(p, [gradient, average, square, largest])
        InstructionSet.table.pointee.adam(
            p.count, p.base, gradient.base, average.base, square.base, largest?.base, coefficients.raw)
    }

    /// RMSprop.
    ///
    /// - Parameters:
    ///   - square: the average of squared gradients.
    ///   - average: of gradients, for the centered kind; nil without it.
    ///   - momentum: the velocity; nil without momentum.
    package static func rmsprop(
        _ p: FloatBuffer, gradient: FloatBuffer, square: FloatBuffer, average: FloatBuffer?, momentum: FloatBuffer?,
        _ coefficients: UpdateCoefficients
    ) {
        check(p, [gradient, square, average, momentum])
        InstructionSet.table.pointee.rmsprop(
            p.count, p.base, gradient.base, square.base, average?.base, momentum?.base, coefficients.raw)
    }

    /// Gradient descent, with dampening and Nesterov's momentum as the coefficients say.
    ///
    /// - Parameter momentum: the velocity, which the first update sets to the gradient; nil without momentum.
    package static func sgd(
        _ p: FloatBuffer, gradient: FloatBuffer, momentum: FloatBuffer?, _ coefficients: UpdateCoefficients
    ) {
        check(p, [gradient, momentum])
        InstructionSet.table.pointee.sgd(p.count, p.base, gradient.base, momentum?.base, coefficients.raw)
    }

    private static func check(_ p: FloatBuffer, _ others: [FloatBuffer?]) {
        precondition(others.allSatisfy { $0 == nil || $0!.count == p.count })
    }
}
