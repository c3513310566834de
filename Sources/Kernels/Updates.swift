import CKernels

/// The scalars of an update in single precision, rounded once from Double.
package struct UpdateCoefficients: Sendable {
    package var clip: Float = 1
    package var weightDecay: Float = 0
    package var learningRate: Float = 0
    package var beta1: Float = 0
    package var beta2: Float = 0
    package var epsilon: Float = 0
    package var stepSize: Float = 0
    package var biasCorrection2Root: Float = 1
    package var alpha: Float = 0
    package var momentum: Float = 0
    package var dampening: Float = 0
    package var isDecayDecoupled = false
    package var isNesterov = false
    package var isFirst = false

    package init() {}

    var raw: ls_update {
        ls_update(
            clip: clip, weight_decay: weightDecay, learning_rate: learningRate, beta1: beta1, beta2: beta2,
            epsilon: epsilon, step_size: stepSize, bias_correction2_sqrt: biasCorrection2Root, alpha: alpha,
            momentum: momentum, dampening: dampening, decoupled_decay: isDecayDecoupled ? 1 : 0,
            nesterov: isNesterov ? 1 : 0, is_first: isFirst ? 1 : 0)
    }
}

/// Fused updates of parameters and optimizer state: one pass over memory. All buffers have the same length.
package enum Updates {
    package static func adam(
        _ p: FloatBuffer, gradient: FloatBuffer, average: FloatBuffer, square: FloatBuffer, largest: FloatBuffer?,
        _ coefficients: UpdateCoefficients
    ) {
        check(p, [gradient, average, square, largest])
        InstructionSet.table.pointee.adam(
            p.count, p.base, gradient.base, average.base, square.base, largest?.base, coefficients.raw)
    }

    package static func rmsprop(
        _ p: FloatBuffer, gradient: FloatBuffer, square: FloatBuffer, average: FloatBuffer?, momentum: FloatBuffer?,
        _ coefficients: UpdateCoefficients
    ) {
        check(p, [gradient, square, average, momentum])
        InstructionSet.table.pointee.rmsprop(
            p.count, p.base, gradient.base, square.base, average?.base, momentum?.base, coefficients.raw)
    }

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
